"""The life of a job, as recorded: queued, running, finished, failed, interrupted, deleted."""

from __future__ import annotations

import copy
import uuid
from typing import Any

import pytest

from tests.contract import samples
from tests.contract.server import Server, wait_for

CLIENT = "1bc2b7d2-40fe-4037-a880-ff2df5a9e122"


@pytest.fixture(autouse=True)
def idle(server: Server) -> None:
    server.wait_idle()


def history(name: str) -> Any:
    """The one entry of a recorded history answer."""
    return samples.normal(next(iter(samples.body(name).values())))


def slow_graph(colour: int) -> dict[str, Any]:
    """The recorded slow graph in a colour of its own, so that no cached result shortens it."""
    graph = copy.deepcopy(samples.graph("prompt_slow"))
    graph["1"]["inputs"]["color"] = colour
    return graph


def test_an_accepted_graph_is_executed_and_then_found_in_the_cache(server: Server) -> None:
    server.forget_results()
    for name in ("prompt_ok", "prompt_ok_cached"):
        answer = samples.replay(server, name)
        samples.assert_same(server, name, answer)
        entry = server.finished(answer.json()["prompt_id"])
    recorded = samples.body("history_cached").popitem()[1]
    # Earlier sessions on the same server have used up the first numbers.
    recorded["outputs"]["2"]["images"][0]["filename"] = entry["outputs"]["2"]["images"][0]["filename"]
    assert samples.normal(entry) == samples.normal(recorded)


def test_a_graph_that_loads_an_upload_saves_into_its_subfolder(server: Server) -> None:
    samples.replay(server, "upload_image")
    server.forget_results()
    answer = samples.replay(server, "prompt_loadimage")
    entry = server.finished(answer.json()["prompt_id"])
    recorded = samples.body("history_loadimage").popitem()[1]
    recorded["outputs"]["4"]["images"][0]["filename"] = entry["outputs"]["4"]["images"][0]["filename"]
    assert samples.normal(entry, server) == samples.normal(recorded)
    picture = server.output(entry["outputs"]["4"]["images"][0]).picture()
    assert picture.size == (128, 96)
    # Orange, inverted; a real server computes with fractions and cuts them off.
    assert picture.getpixel((64, 48)) in ((0, 89, 255), (0, 90, 255))
    assert samples.load("prompt_loadimage")["request"]["json"]["extra_data"]["extra_pnginfo"]["workflow"]
    assert "workflow" in picture.info
    assert "prompt" in picture.info


def test_a_partly_valid_graph_is_accepted_and_says_which_output_was_dropped(server: Server) -> None:
    samples.replay(server, "upload_image")
    answer = samples.replay(server, "prompt_partial_valid")
    samples.assert_same(server, "prompt_partial_valid", answer)
    assert list(server.finished(answer.json()["prompt_id"])["outputs"]) == ["4"]


def test_an_upload_that_is_no_picture_fails_when_it_is_loaded(server: Server) -> None:
    samples.replay(server, "upload_nonimage")
    answer = samples.replay(server, "prompt_runtime_err")
    samples.assert_same(server, "prompt_runtime_err", answer)
    entry = server.finished(answer.json()["prompt_id"])
    assert samples.normal(entry, server) == history("history_error")
    job = server.get(f"/api/jobs/{answer.json()['prompt_id']}").json()
    assert job["status"] == "failed"


def test_pending_running_interrupted_and_deleted_jobs_look_as_recorded(server: Server) -> None:
    own_id = str(uuid.uuid4())
    running = server.submit(slow_graph(0x110000), client_id=CLIENT)
    server.submit(samples.graph("prompt_queued_ownid"), prompt_id=own_id, client_id=CLIENT)
    first_in_line = server.submit(samples.graph("prompt_queued3"), number=-5, client_id=CLIENT)
    wait_for(lambda: server.get(f"/api/jobs/{running}").json().get("status") == "in_progress")

    assert server.get("/prompt").json() == samples.body("prompt_get_busy")
    queue = server.get("/queue").json()
    queue["queue_running"][0][2]["1"]["inputs"]["color"] = 4626861
    recorded = samples.body("queue_busy")
    assert samples.normal(queue) == samples.normal(recorded)
    jobs = server.get("/api/jobs").json()["jobs"]
    assert samples.normal(jobs[:3]) == samples.normal(samples.body("jobs_busy")["jobs"][:3])
    assert samples.normal(server.get(f"/api/jobs/{running}").json()) == samples.normal(
        samples.body("job_running")
    )
    assert samples.normal(server.get(f"/api/jobs/{own_id}").json()) == samples.normal(
        samples.body("job_pending")
    )
    assert server.get(f"/history/{running}").json() == {}
    assert server.get(f"/history/{own_id}").json() == {}

    assert server.post("/queue", {"delete": [own_id]}).status == 200
    assert server.get(f"/api/jobs/{own_id}").status == 404
    assert server.post("/interrupt", {"prompt_id": str(uuid.uuid4())}).status == 200
    assert server.get(f"/history/{running}").json() == {}, (
        "an interrupt for another job must not hit this one"
    )
    assert server.post("/interrupt", {"prompt_id": running}).status == 200
    entry = server.finished(running)
    assert server.post("/interrupt").status == 200
    server.finished(first_in_line)

    recorded_entry = samples.body("history_interrupted").popitem()[1]
    for candidate in (entry, recorded_entry):
        candidate["prompt"][2]["1"]["inputs"]["color"] = 0
        assert candidate["status"]["messages"][-1][1].pop("node_id") in candidate["prompt"][2]
        assert isinstance(candidate["status"]["messages"][-1][1].pop("executed"), list)
    entry["status"]["messages"][-1][1]["node_type"] = "ImageScale"
    assert samples.normal(entry) == samples.normal(recorded_entry)
    assert server.get(f"/api/jobs/{running}").json()["status"] == "cancelled"
    page = server.get("/api/jobs", limit="2").json()
    assert len(page["jobs"]) == 2
    assert page["pagination"]["has_more"]
    assert {job["status"] for job in page["jobs"]} == {"cancelled"}


def test_a_deleted_pending_job_never_reaches_the_history(server: Server) -> None:
    """Why polling the history alone never ends."""
    running = server.submit(slow_graph(0x220000))
    pending = server.submit(samples.graph("prompt_queued3"))
    server.post("/queue", {"delete": [pending]})
    server.post("/interrupt", {"prompt_id": running})
    server.finished(running)
    server.wait_idle()
    assert server.get(f"/history/{pending}").json() == {}
    assert server.get(f"/api/jobs/{pending}").status == 404


def test_clearing_the_queue_leaves_the_running_job_alone(server: Server) -> None:
    running = server.submit(slow_graph(0x330000))
    pending = [server.submit(samples.graph("prompt_queued3")) for _ in range(2)]
    wait_for(lambda: server.get("/queue").json()["queue_running"])
    server.post("/queue", {"clear": True})
    assert server.get("/queue").json()["queue_pending"] == []
    assert server.get("/queue").json()["queue_running"][0][1] == running
    server.post("/interrupt")
    server.finished(running)
    assert all(server.get(f"/history/{prompt_id}").json() == {} for prompt_id in pending)


def test_a_job_can_be_cancelled_by_id_whatever_its_state(server: Server) -> None:
    running = server.submit(slow_graph(0x440000))
    pending = server.submit(samples.graph("prompt_queued3"))
    wait_for(lambda: server.get("/queue").json()["queue_running"])
    assert server.post(f"/api/jobs/{pending}/cancel").json() == {"cancelled": True}
    assert server.post("/api/jobs/cancel", {"job_ids": [running]}).json() == {"cancelled": True}
    server.finished(running)
    assert server.post(f"/api/jobs/{running}/cancel").json() == {"cancelled": False}
    assert server.post("/api/jobs/cancel", {"job_ids": ["x"]}).status == 400


def test_a_history_entry_can_be_deleted(server: Server) -> None:
    prompt_id = server.submit(samples.graph("prompt_ok"))
    server.finished(prompt_id)
    assert server.post("/history", {"delete": [prompt_id]}).status == 200
    assert server.get(f"/history/{prompt_id}").json() == {}


def test_output_numbers_go_up_and_the_same_graph_gives_the_same_bytes(server: Server) -> None:
    graph = samples.graph("prompt_ok")
    graph["2"]["inputs"]["filename_prefix"] = f"same-{server.token}"
    saved = []
    for _ in range(2):
        server.forget_results()
        saved.append(server.run(graph)["outputs"]["2"]["images"][0])
    assert [image["filename"] for image in saved] == [f"same-{server.token}_0000{n}_.png" for n in (1, 2)]
    assert server.output(saved[0]).content == server.output(saved[1]).content


def test_saving_outside_the_output_folder_fails(server: Server) -> None:
    graph = samples.graph("prompt_ok")
    graph["2"]["inputs"]["filename_prefix"] = "../../elsewhere"
    ending = server.run(graph)["status"]["messages"][-1]
    assert ending[0] == "execution_error"
    assert "outside the output folder" in ending[1]["exception_message"]
