"""generate, batch, grid, queue, cancel, validate and doctor, against the lab's ComfyUI."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from comfystack import ComfyClient, InputError, cli, graphs, lessons, pictures
from comfystack.commands import batch
from comfystack.commands.values import with_seed
from PIL import Image

from tests.contract.server import Server, simulator
from tests.contract.weights import lay_models

from .scripted import ScriptedServer

Run = Callable[..., tuple[int, Any]]
SMALL = {"width": "256", "height": "256", "steps": "1"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("comfyui")
    lay_models(base)
    with simulator(base, "--cpu") as server:
        yield server


@pytest.fixture
def run(server: Server, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command with --json; its exit code and its document."""

    def call(*words: object, url: str = server.url) -> tuple[int, Any]:
        capsys.readouterr()
        code = cli.main([*map(str, words), "--json", "--url", url])
        return code, json.loads(capsys.readouterr().out)

    return call


def photo(path: Path, colour: str) -> Path:
    Image.new("RGB", (64, 48), colour).save(path)
    return path


def table(path: Path, *rows: dict[str, str]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_picture_comes_from_a_sentence_in_the_size_asked_for(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "cat.png"
    code, said = run(
        "generate", "--prompt", "a cat", "--size", "320x256", "--seed", 7, "--steps", 2, "--out", out
    )
    assert (code, said["width"], said["height"], said["seed"], said["steps"]) == (0, 320, 256, 7, 2)
    assert Image.open(out).size == (320, 256)


@pytest.mark.parametrize("size", ["320", "0x0", "320x255", "99999x256"])
def test_a_size_that_cannot_be_is_refused_before_anything_is_sent(
    run: Run, server: Server, tmp_path: Path, size: str
) -> None:
    code, said = run(
        "generate", "--prompt", "a cat", "--size", size, "--out", tmp_path / "x.png", url="http://127.0.0.1:9"
    )
    assert code == 2, said
    assert not (tmp_path / "x.png").exists()


def test_a_batch_makes_every_row_and_a_second_run_nothing(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "red.png", "red")
    rows = table(
        tmp_path / "rows.csv",
        {"name": "one", "image1": "red.png", "prompt": "make it blue", "steps": "1"},
        {"name": "two", "image1": "red.png", "prompt": "make it, say, green", "steps": "2"},
    )
    code, said = run("batch", rows, "--out-dir", tmp_path / "out")
    assert (code, said["made"], said["there_before"]) == (0, 2, 0)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.png")}
    assert set(before) == {"one.png", "two.png"}
    code, said = run("batch", rows, "--out-dir", tmp_path / "out")
    assert (code, said["made"], said["there_before"]) == (0, 0, 2)
    # One that was deleted is made again, and alike: its seed follows from its row.
    (tmp_path / "out" / "two.png").unlink()
    code, said = run("batch", rows, "--out-dir", tmp_path / "out")
    assert (said["made"], said["there_before"]) == (1, 1)
    assert (tmp_path / "out" / "two.png").read_bytes() == before["two.png"]


def test_a_batch_that_was_killed_finds_its_job_again_and_does_not_run_it_twice(
    run: Run, server: Server, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    photo(folder / "a.png", "navy")
    common = {"prompt": "killed", "steps": "1"}
    [row] = batch.read_rows(folder, "edit", common)
    # What a batch leaves that died between the sending and the end: a record, half a line, and a job on the server.
    record = batch.Record(tmp_path / "batch.jsonl")
    with ComfyClient(server.url) as client:
        graph = with_seed(row.job, int(row.key[:13], 16)).graph(client)
        prompt_id = client.submit(graph)
        record.write(row, "sent", prompt_id=prompt_id)
        (tmp_path / "batch.jsonl").open("a").write('{"key": "torn')
        code, said = run("batch", folder, "--out-dir", tmp_path, "--prompt", "killed", "--set", "steps=1")
        assert (code, said["made"]) == (0, 1)
        history = client._get("/history")
    same = [job for job, entry in history.items() if entry["prompt"][2] == graph]
    assert same == [prompt_id]


def test_a_picture_that_fails_is_told_and_made_by_the_next_run(
    scripted: ScriptedServer, run: Run, tmp_path: Path
) -> None:
    photo(tmp_path / "a.png", "red")
    photo(tmp_path / "b.png", "blue")
    refusal = {"error": {"type": "x", "message": "no", "details": ""}, "node_errors": {}}
    scripted.answers["/prompt"] = [(400, refusal)]
    code, said = run("batch", tmp_path, "--prompt", "x", "--out-dir", tmp_path / "out", url=scripted.url)
    assert code == 1
    assert "1 of 2 pictures failed" in said["error"]["found"]
    assert [path.name for path in (tmp_path / "out").glob("*.png")] == ["b.png"]
    code, said = run("batch", tmp_path, "--prompt", "x", "--out-dir", tmp_path / "out", url=scripted.url)
    assert (code, said["made"], said["there_before"]) == (0, 1, 1)


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"name": "../x", "prompt": "a"}, "the name '../x'"),
        ({"name": "x", "prompt": "a", "stepz": "3"}, "no parameter 'stepz'"),
        ({"name": "x", "prompt": ""}, "not given prompt"),
        ({"name": "x", "prompt": "a", "steps": "many"}, "steps 'many'"),
    ],
)
def test_a_wrong_row_is_named_before_anything_is_sent(
    run: Run, tmp_path: Path, row: dict[str, str], found: str
) -> None:
    good = {key: "good" if key in ("name", "prompt") else "" for key in row}
    rows = table(tmp_path / "rows.csv", good, row)
    words = ("batch", rows, "--workflow", "text-to-image", "--out-dir", tmp_path / "out")
    code, said = run(*words, url="http://127.0.0.1:9")
    assert code == 2
    assert "picture 2" in said["error"]["found"] or "'stepz'" in said["error"]["found"]
    assert found in said["error"]["found"]


def test_a_sheet_has_a_cell_for_each_combination(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    more = [word for pair in SMALL.items() for word in ("--set", "=".join(pair)) if pair[0] != "steps"]
    code, said = run(
        "grid", "--prompt", "a cat", *more, "--vary", "steps=1|2", "--vary", "cfg=1|2|3", "--out", out
    )
    assert code == 0, said
    varied = [(one["steps"], one["cfg"]) for one in said["pictures"]]
    assert varied == [("1", "1"), ("2", "1"), ("1", "2"), ("2", "2"), ("1", "3"), ("2", "3")]
    assert len({one["seed"] for one in said["pictures"]}) == 1
    assert Image.open(out).width > 2 * 256


@pytest.mark.parametrize(
    "vary", [["steps"], ["steps=1", "steps=2"], ["nothing=1"], ["steps=" + "|".join("1" * 65)]]
)
def test_a_sheet_that_cannot_be_is_refused(run: Run, tmp_path: Path, vary: list[str]) -> None:
    words = [word for one in vary for word in ("--vary", one)]
    code, _ = run("grid", "--prompt", "x", *words, "--out", tmp_path / "s.png", url="http://127.0.0.1:9")
    assert code == 2


def test_the_queue_is_listed_and_a_job_taken_out_of_it(run: Run, server: Server) -> None:
    slow = graphs.load("text-to-image")
    slow["sampler"]["inputs"]["steps"] = 10_000
    with ComfyClient(server.url) as client:
        first, second = (
            client.submit(slow),
            client.submit(lessons.changed(slow, {("sampler", "inputs", "seed"): 5})),
        )
        deadline = time.monotonic() + 20
        while (said := run("queue")[1])["jobs"][0]["state"] != "running":
            assert time.monotonic() < deadline, said
        assert [(job["id"], job["state"]) for job in said["jobs"]] == [
            (first, "running"),
            (second, "waiting"),
        ]
        code, answer = run("cancel", second, "no-such-job")
        assert code == 2
        assert "no-such-job" in answer["error"]["found"]
        assert len(run("queue")[1]["jobs"]) == 2, "nothing is cancelled where one id is wrong"
        assert run("cancel", second, first) == (0, {"cancelled": [second, first]})
        while run("queue")[1]["jobs"]:
            assert time.monotonic() < deadline


def test_validate_finds_every_workflow_well_and_makes_an_edit(run: Run) -> None:
    code, said = run("validate")
    assert code == 0
    assert set(said["workflows"]) == set(graphs.names())
    assert not any(said["workflows"].values())
    assert said["edit"].startswith("edit-lightning: ")


def test_a_picture_of_one_colour_is_no_success(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    black = photo(tmp_path / "black.png", "black").read_bytes()
    monkeypatch.setattr("comfystack.commands.validate.picture", lambda *_: black)
    code, said = run("validate")
    assert code == 1
    assert "one colour" in said["error"]["found"]


def test_the_doctor_asks_every_hop_and_names_a_missing_card(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["doctor", "--json", "--edit", "--url", server.url])
    assert stopped.value.code == 1
    said = json.loads(capsys.readouterr().out)
    states = {hop["name"]: hop["state"] for hop in said["hops"]}
    assert states.pop("card") == "wrong", "this server computes on the processor"
    assert set(states.values()) == {"ok"}, said
    assert set(states) == {
        "name",
        "port",
        "door",
        "token",
        "comfyui",
        "workflows",
        "websocket",
        "queue",
        "edit",
    }


def test_the_doctor_stops_where_the_way_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["doctor", "--url", "http://127.0.0.1:9"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("wrong        port")
    assert "next step" in lines[3]
    assert all(line.startswith("not reached") for line in lines[4:])


def test_the_doctor_finds_a_door_that_stands_open(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = tmp_path / "token"
    token.write_text("t" * 32)
    token.chmod(0o600)
    with pytest.raises(SystemExit):
        cli.main(["doctor", "--url", server.url, "--token-file", str(token)])
    assert "answers without a token" in capsys.readouterr().out


def test_the_course_s_helpers_run_wait_and_compare(server: Server) -> None:
    graph = lessons.changed(
        graphs.load("text-to-image"),
        {
            ("latent", "inputs", "width"): 256,
            ("latent", "inputs", "height"): 256,
            ("sampler", "inputs", "steps"): 1,
        },
    )
    with ComfyClient(server.url) as client:
        done = lessons.execute_workflow(client, graph, verbose=False)
        assert done["count"] == 1
        assert done["images"][0].size == (256, 256)
        assert lessons.execute_workflow(client, graph, wait_for_completion=False)["status"] == "queued"
        steps = lessons.generate_variations(client, graph, [1, 2], ["sampler", "inputs", "steps"])
        assert [value for value, _ in steps] == [1, 2]
        rows = lessons.compare_prompts_and_params(client, graph, ["a", "b"], [1], [1.0, 2.0])
        assert [(row["prompt"], row["cfg"]) for row in rows] == [
            ("a", 1.0),
            ("a", 2.0),
            ("b", 1.0),
            ("b", 2.0),
        ]
        with pytest.raises(KeyError, match="is not in the workflow"):
            lessons.changed(graph, {("sampler", "inputs", "stepz"): 1})


def test_the_same_id_twice_runs_once(server: Server) -> None:
    graph = graphs.load("text-to-image")
    graph["sampler"]["inputs"]["steps"] = 3
    with ComfyClient(server.url) as client:
        first = client.run(graph, prompt_id="0b1c2d3e-0000-4000-8000-000000000001")
        again = client.run(graph, prompt_id=first.prompt_id)
        assert again == first
        with pytest.raises(InputError):
            client.run(graph, prompt_id="0B1C2D3E-0000-4000-8000-000000000001")
        client.interrupt(first.prompt_id)  # harmless to what has ended
        client.free()


def test_a_cookie_of_the_farm_comes_back(scripted: ScriptedServer) -> None:
    scripted.cookie = "ARRAffinity=one"
    with ComfyClient(scripted.url) as client:
        client.system_stats()
        client.system_stats()
    assert "Cookie" not in scripted.headers[0]
    assert scripted.headers[1]["Cookie"] == scripted.cookie


def test_pictures_are_looked_at() -> None:
    assert not pictures.is_blank(pictures.opened(pictures.drawn()))
    assert pictures.is_blank(Image.new("RGB", (4, 4), "white"))


@pytest.mark.parametrize("words", [["generate"], ["nothing"], ["queue", "--timeout", "never"], []])
def test_wrong_arguments_are_told_in_the_same_form(run: Run, words: list[str]) -> None:
    code, said = run(*words)
    assert code == 2
    assert said["error"]["next_step"].endswith("--help`")
