"""`comfystack workflow` at the command line: what is printed, what is written, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from comfystack import cli, graphs
from comfystack.workflow.reading import LARGEST

from .scripted import ScriptedServer, png

OLD = Path(__file__).parents[1] / "workflow" / "old"


def run(*arguments: str | Path) -> int:
    return cli.main(["workflow", *map(str, arguments)])


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(graphs.load("edit")))
    return path


def test_a_valid_workflow_is_said_to_be(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("validate", graph) == 0
    assert "13 nodes, valid for ComfyUI 0.33.0" in capsys.readouterr().out


def test_findings_are_printed_and_end_with_4(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("validate", OLD / "image-to-image.json") == 4
    printed = capsys.readouterr()
    assert "node 6 (QwenImageSamplerWithEdit): found class QwenImageSamplerWithEdit" in printed.out
    assert "has 7 findings" in printed.err


def test_explain_tells_every_node_and_what_stands_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", OLD / "text-to-image.json") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "5  QwenImageSamplerNode: no class of this ComfyUI" in lines
    assert "    in its place: KSampler (`comfystack workflow fix` writes it)" in lines


def test_fix_writes_a_workflow_that_validates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "fixed.json"
    assert run("fix", OLD / "image-to-image.json", "--out", out) == 0
    assert "node 6: QwenImageSamplerWithEdit becomes KSampler" in capsys.readouterr().err
    assert run("validate", out) == 0


def test_fix_prints_the_workflow_alone_where_no_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fix", OLD / "text-to-image.json") == 0
    assert json.loads(capsys.readouterr().out)["5"]["class_type"] == "KSampler"


def test_a_refused_translation_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    out, bad = tmp_path / "fixed.json", tmp_path / "bad.json"
    out.write_text("before")
    bad.write_text('{"1": {"class_type": "Nothing", "inputs": {}}}')
    assert run("fix", bad, "--out", out) == 2
    assert out.read_text() == "before"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not JSON", "is not JSON"),
        (b"\xff\xfe\x00", "is not text"),
        (b"", "is not JSON"),
        (b"[1, 2]", "holds JSON of another kind (list)"),
        (b"{}", "holds an empty object"),
        (b'{"1": 5}', "node 1 of"),
        (b'{"1": {"inputs": {}}}', "has no class_type"),
        (b'{"1": {"class_type": "KSampler", "inputs": []}}', "the inputs of node 1"),
        (b'{"nodes": [{"id": 1}], "links": []}', "it is not built as the page builds it (KeyError"),
        (b"[" * 100_000, "is not JSON: nested too deeply"),
        (b" " * (LARGEST + 1), f"has {LARGEST + 1} bytes"),
    ],
    ids=[
        "text",
        "binary",
        "empty",
        "list",
        "object",
        "number",
        "no class",
        "inputs",
        "page",
        "deep",
        "large",
    ],
)
@pytest.mark.parametrize("action", ["validate", "explain", "fix"])
def test_what_is_no_workflow_is_told_and_ends_with_2(
    action: str, content: bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "workflow.json"
    path.write_bytes(content)
    assert run(action, path) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "next step:" in error


def test_a_body_of_post_prompt_is_a_workflow_too(tmp_path: Path) -> None:
    path = tmp_path / "body.json"
    path.write_text(json.dumps({"prompt": graphs.load("edit"), "client_id": "me"}))
    assert run("validate", path) == 0


def test_a_lock_that_is_none_is_told(graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = tmp_path / "lock.yml"
    lock.write_text("sets: {}")
    assert run("validate", graph, "--lock", lock) == 2
    assert "is no models lock" in capsys.readouterr().err


def test_show_lists_what_a_workflow_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "inpaint") == 0
    assert "  mask       image, required" in capsys.readouterr().out


def test_a_shipped_workflow_runs_with_its_values(server: ScriptedServer, tmp_path: Path) -> None:
    photo, out = tmp_path / "photo.png", tmp_path / "out.png"
    photo.write_bytes(png())
    values = ["--set", f"image1={photo}", "--set", f"mask={photo}", "--set", "margin=3", "--set", "seed=9"]
    where = ["--out", str(out), "--quiet", "--url", server.url]
    assert run("run", "inpaint", "--prompt", "a vase", *values, *where) == 0
    assert out.read_bytes() == png()
    sent = server.sent("/prompt")[0]["prompt"]
    assert sent["mask_grown"]["inputs"]["expand"] == 3
    assert sent["sampler"]["inputs"]["seed"] == 9
    assert sent["mask"]["inputs"]["image"] == sent["image1"]["inputs"]["image"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["--set", "steps=0"], "steps '0'"),
        (["--set", "width=500"], "a multiple of 16"),
        (["--set", "cfg=nan"], "cfg 'nan'"),
        (["--set", "colour=blue"], "has no parameter 'colour'"),
        (["--set", "steps"], "PARAMETER=VALUE"),
        (["--prompt", " "], "prompt ' '"),
    ],
)
def test_a_value_that_does_not_do_is_refused_before_anything_is_sent(
    values: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--prompt", "a lighthouse", *values, "--out", str(tmp_path / "out.png")]
    assert run("run", "text-to-image", *given, "--url", "http://127.0.0.1:9") == 2
    assert said in capsys.readouterr().err


def test_a_parameter_that_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run("run", "merge-2", "--prompt", "x", "--out", tmp_path / "o.png", "--url", "http://127.0.0.1:9")
        == 2
    )
    assert "is not given image1, image2" in capsys.readouterr().err
