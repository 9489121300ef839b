"""What a script may rely on when it runs a workflow: sent once, told apart, never left behind."""

from __future__ import annotations

import asyncio
import re

import pytest
from comfystack import (
    ExecutionError,
    ImageRef,
    JobInterruptedError,
    JobTimeoutError,
    ModelMissingError,
    OutOfMemoryError,
    Progress,
    ValidationError,
    jobs,
)

from .conftest import GRAPH, SAVED, Connect
from .scripted import ScriptedServer, Story, png, run_for_ever, succeed, wait_in_queue


def problem(kind: str, field: str, class_type: str) -> dict[str, object]:
    error = {"type": kind, "message": "…", "details": f"{field}: wrong", "extra_info": {"input_name": field}}
    return {"errors": [error], "dependent_outputs": ["saved"], "class_type": class_type}


def refusal(**node_errors: object) -> dict[str, object]:
    error = {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation"}
    return {"error": error, "node_errors": node_errors}


def test_a_job_is_followed_step_by_step_and_its_image_comes_back(
    server: ScriptedServer, connect: Connect
) -> None:
    seen: list[Progress] = []
    client = connect(server)
    result = client.run(GRAPH, seen.append)
    assert result.images == SAVED
    assert client.view(result.images[0]) == png()
    assert [(p.class_type, p.step, p.steps) for p in seen if p.steps] == [
        ("KSampler", 1, 3),
        ("KSampler", 2, 3),
        ("KSampler", 3, 3),
        ("KSampler", 3, 3),  # the image is saved
        ("KSampler", 3, 3),  # finished
    ]
    assert seen[0].state == "queued"
    assert (seen[-1].state, seen[-1].nodes_done) == ("finished", len(GRAPH))
    assert not [path for path, _ in server.requests if path.startswith("/api/jobs")], "the socket was enough"


def test_a_job_has_our_own_canonical_id(server: ScriptedServer, connect: Connect) -> None:
    result = connect(server).run(GRAPH)
    (body,) = server.sent("/prompt")
    assert body["prompt_id"] == result.prompt_id
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", result.prompt_id)
    assert body["client_id"] != result.prompt_id


def test_the_messages_of_other_jobs_are_not_ours(server: ScriptedServer, connect: Connect) -> None:
    async def story(server: ScriptedServer, prompt_id: str) -> None:
        await server.say("execution_error", prompt_id="other", node_id="1", node_type="KSampler")
        await server.say("executing", node=None, prompt_id="other")
        await succeed(server, prompt_id)

    server.story = story
    assert connect(server).run(GRAPH).images == SAVED


def test_a_partly_valid_workflow_is_an_error_and_its_valid_part_does_not_run(
    server: ScriptedServer, connect: Connect
) -> None:
    answer = {
        "prompt_id": "x",
        "number": 1,
        "node_errors": {"5": problem("bad_linked_input", "images", "SaveImage")},
    }
    server.answers["/prompt"] = [(200, answer)]
    with pytest.raises(ValidationError) as caught:
        connect(server).run(GRAPH)
    (found,) = caught.value.problems
    assert (found.node_id, found.class_type, found.field) == ("5", "SaveImage", "images")
    ours = server.sent("/prompt")[0]["prompt_id"]
    assert server.sent("/queue") == [{"delete": [ours]}]
    assert server.sent("/interrupt") == [{"prompt_id": ours}]


def test_a_missing_model_file_is_named_with_its_folder(server: ScriptedServer, connect: Connect) -> None:
    server.answers["/prompt"] = [
        (400, refusal(model=problem("value_not_in_list", "unet_name", "UNETLoader")))
    ]
    with pytest.raises(ModelMissingError) as caught:
        connect(server).run(GRAPH)
    assert "node model (UNETLoader), unet_name" in caught.value.found
    assert "models/diffusion_models" in caught.value.next_step


def test_a_value_out_of_range_is_not_mistaken_for_a_missing_model(
    server: ScriptedServer, connect: Connect
) -> None:
    server.answers["/prompt"] = [
        (400, refusal(sampler=problem("value_bigger_than_max", "steps", "KSampler")))
    ]
    with pytest.raises(ValidationError, match="node sampler \\(KSampler\\), steps") as caught:
        connect(server).run(GRAPH)
    assert not isinstance(caught.value, ModelMissingError)


def test_a_forgotten_model_input_is_not_mistaken_for_a_missing_file(
    server: ScriptedServer, connect: Connect
) -> None:
    server.answers["/prompt"] = [
        (400, refusal(model=problem("required_input_missing", "unet_name", "UNETLoader")))
    ]
    with pytest.raises(ValidationError) as caught:
        connect(server).run(GRAPH)
    assert not isinstance(caught.value, ModelMissingError)


def test_a_node_class_that_is_not_installed_is_named(server: ScriptedServer, connect: Connect) -> None:
    extra = {"node_id": "3", "class_type": "QwenImageSamplerNode"}
    error = {"type": "missing_node_type", "message": "not found", "details": "#3", "extra_info": extra}
    server.answers["/prompt"] = [(400, {"error": error, "node_errors": {}})]
    with pytest.raises(ValidationError, match="install the node class") as caught:
        connect(server).run(GRAPH)
    assert caught.value.problems[0].class_type == "QwenImageSamplerNode"


def test_a_submission_that_arrived_before_the_connection_broke_is_not_sent_again(
    server: ScriptedServer, connect: Connect
) -> None:
    server.answers["/prompt"] = ["drop after"]
    assert connect(server).run(GRAPH).images == SAVED
    assert len(server.sent("/prompt")) == 1


def test_a_submission_that_never_arrived_is_sent_again_under_the_same_id(
    server: ScriptedServer, connect: Connect
) -> None:
    server.answers["/prompt"] = ["drop"]
    result = connect(server).run(GRAPH)
    assert [body["prompt_id"] for body in server.sent("/prompt")] == [result.prompt_id] * 2
    assert list(server.history) == [result.prompt_id], "it ran once"


@pytest.mark.parametrize("socket", [True, False], ids=["by the socket", "by looking"])
def test_a_failing_node_is_named(server: ScriptedServer, connect: Connect, socket: bool) -> None:
    data = {
        "node_id": "image1",
        "node_type": "LoadImage",
        "exception_type": "PIL.UnidentifiedImageError",
        "exception_message": "cannot identify image file\n",
    }

    async def story(server: ScriptedServer, prompt_id: str) -> None:
        await server.start(prompt_id)
        if not socket:  # the message comes before the history is written
            server.end(prompt_id, {}, "error", "execution_error", data)
        await server.say("execution_error", prompt_id=prompt_id, **data)

    server.story = story
    if not socket:
        server.answers_for_ever["/ws"] = (404, "no such route")
    with pytest.raises(ExecutionError, match="cannot identify image file") as caught:
        connect(server).run(GRAPH)
    assert (caught.value.node_id, caught.value.exception_type) == ("image1", "PIL.UnidentifiedImageError")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("torch.OutOfMemoryError", "Allocation on device 0 would exceed allowed memory"),
        ("torch.cuda.OutOfMemoryError", "Allocation on device"),
        ("RuntimeError", "CUDA error: out of memory"),
    ],
)
def test_a_card_without_room_has_its_own_error_and_a_way_out(
    server: ScriptedServer, connect: Connect, kind: str, message: str
) -> None:
    async def story(server: ScriptedServer, prompt_id: str) -> None:
        await server.start(prompt_id)
        told = {"node_id": "sampler", "node_type": "KSampler"}
        await server.say(
            "execution_error", prompt_id=prompt_id, exception_type=kind, exception_message=message, **told
        )

    server.story = story
    with pytest.raises(OutOfMemoryError) as caught:
        connect(server).run(GRAPH)
    assert "make the picture smaller or take fewer images" in caught.value.next_step


@pytest.mark.parametrize("socket", [True, False], ids=["by the socket", "by looking"])
def test_an_interruption_by_someone_else_is_told_apart_from_a_failure(
    server: ScriptedServer, connect: Connect, socket: bool
) -> None:
    data = {"node_id": "sampler", "node_type": "KSampler"}

    async def story(server: ScriptedServer, prompt_id: str) -> None:
        await server.start(prompt_id)
        if not socket:  # the message comes before the history is written
            server.end(prompt_id, {}, "error", "execution_interrupted", data)
        await server.say("execution_interrupted", prompt_id=prompt_id, **data)

    server.story = story
    if not socket:
        server.answers_for_ever["/ws"] = (404, "no such route")
    with pytest.raises(JobInterruptedError, match="node sampler"):
        connect(server).run(GRAPH)


@pytest.mark.parametrize("story", [wait_in_queue, run_for_ever])
def test_a_job_that_takes_too_long_is_cancelled_on_the_server(
    server: ScriptedServer, connect: Connect, story: Story
) -> None:
    server.story = story
    with pytest.raises(JobTimeoutError, match="has been cancelled"):
        connect(server).run(GRAPH, timeout=0.3)
    assert not server.pending
    assert not server.running


def test_a_caller_that_fails_leaves_no_job_behind(server: ScriptedServer, connect: Connect) -> None:
    server.story = run_for_ever

    def callback(progress: Progress) -> None:
        if progress.state == "running":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        connect(server).run(GRAPH, callback)
    assert not server.running
    assert "execution_interrupted" in str(server.history)


def test_a_job_that_could_not_be_cancelled_is_admitted(server: ScriptedServer, connect: Connect) -> None:
    server.story = run_for_ever

    def callback(progress: Progress) -> None:
        if progress.state == "running":
            server.down()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        connect(server).run(GRAPH, callback)
    (note,) = caught.value.__notes__
    assert f"may still run as {server.running[0]}" in note


def test_a_caller_that_gives_up_while_the_submission_is_on_its_way_leaves_no_job_behind(
    server: ScriptedServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.story = wait_in_queue
    submit = jobs._submit

    async def slow(*arguments: object, **options: bool) -> None:
        await asyncio.sleep(0.3)
        await submit(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(jobs, "_submit", slow)
    with pytest.raises(JobTimeoutError):
        connect(server).run(GRAPH, timeout=0.1)
    assert len(server.sent("/prompt")) == 1
    assert not server.pending


def test_a_notebook_cell_with_its_own_loop_can_run_a_job(server: ScriptedServer, connect: Connect) -> None:
    async def cell() -> tuple[ImageRef, ...]:
        return connect(server).run(GRAPH).images

    assert asyncio.run(cell()) == SAVED


def test_an_upload_is_used_under_the_name_that_the_server_gave_it(
    server: ScriptedServer, connect: Connect
) -> None:
    client = connect(server)
    server.answers["/upload/image"] = ["drop"]
    first, again = client.upload_image(png()), client.upload_image(png())
    assert first.filename.startswith("stored comfystack-")
    assert first == again, "the same content is the same file, also after a broken connection"
    assert client.upload_image(png(4, 4)) != first
