"""What the person at the command line sees: one clear message, an exit code, a whole file or none."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from comfystack import cli, graphs

from .conftest import PUBLIC_NAME, Site
from .scripted import ScriptedServer, png, run_for_ever

CLIENT = Path(cli.__file__).parents[1]
Edit = Callable[..., int]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(png())
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.png"


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def edit(photo: Path, out: Path) -> Edit:
    """`comfystack edit photo.png --prompt ... --out out.png` and what the test adds."""

    def run(*more: str | Path, images: tuple[Path, ...] = (photo,), prompt: str = "make it blue") -> int:
        return cli.main(["edit", *map(str, images), "--prompt", prompt, "--out", str(out), *map(str, more)])

    return run


def test_an_edit_writes_the_image_and_says_what_was_done(
    server: ScriptedServer, edit: Edit, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edit("--url", server.url, "--seed", "7", "--steps", "11") == 0
    assert out.read_bytes() == png()
    printed = capsys.readouterr()
    assert printed.out == f"{out}: 8x8, seed 7, 11 steps\n"
    assert printed.err.splitlines() == [
        "Queued",
        "Running",
        "Sampling 1/3",
        "Sampling 2/3",
        "Sampling 3/3",
        "Finished",
    ]
    graph = server.sent("/prompt")[0]["prompt"]
    assert graph["positive"]["inputs"]["prompt"] == "make it blue"
    assert (graph["sampler"]["inputs"]["seed"], graph["sampler"]["inputs"]["steps"]) == (7, 11)
    assert graph["image1"]["inputs"]["image"].startswith("stored ")


def test_three_images_reach_both_encoders(server: ScriptedServer, edit: Edit, tmp_path: Path) -> None:
    pictures = tuple(tmp_path / f"{n}.png" for n in (1, 2, 3))
    for n, picture in enumerate(pictures, 1):
        picture.write_bytes(png(n, n))
    assert edit("--url", server.url, "--quiet", images=pictures) == 0
    graph = server.sent("/prompt")[0]["prompt"]
    assert len({graph[f"image{n}"]["inputs"]["image"] for n in (1, 2, 3)}) == 3
    for encoder in ("positive", "negative"):
        for n in (1, 2, 3):
            assert graph[encoder]["inputs"][f"image{n}"] == [f"image{n}_scaled", 0]
            assert graph[f"image{n}_scaled"]["inputs"]["image"] == [f"image{n}", 0]
    assert graph["latent"]["inputs"]["pixels"] == ["image1_scaled", 0], "image 1 gives the shape"


def test_an_access_file_is_all_that_is_needed(site: Site, edit: Edit, tmp_path: Path) -> None:
    with ScriptedServer(token="s3cret", tls=site.server_context()) as server:  # noqa: S106
        (tmp_path / "token").write_text("s3cret\n")
        (tmp_path / "token").chmod(0o600)
        (tmp_path / "ca.pem").write_bytes(site.ca.read_bytes())
        access = {
            "url": f"https://{PUBLIC_NAME}",
            "names": [PUBLIC_NAME],
            "connect_to": {PUBLIC_NAME: f"127.0.0.1:{server.port}"},
            "ca_file": "ca.pem",
            "token_file": "token",
        }
        (tmp_path / "access.json").write_text(json.dumps(access))
        assert edit("--access", tmp_path / "access.json") == 0


def test_flags_win_over_variables_and_these_over_the_access_file(
    server: ScriptedServer, edit: Edit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "access.json").write_text(json.dumps({"url": "http://access.invalid"}))
    monkeypatch.setenv("COMFYSTACK_ACCESS", str(tmp_path / "access.json"))
    assert edit() == 8
    monkeypatch.setenv("COMFYSTACK_URL", server.url)
    assert edit() == 0
    assert edit("--url", "http://flag.invalid") == 8


def test_the_token_of_an_access_file_does_not_go_to_another_host(
    server: ScriptedServer, edit: Edit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text("s3cret")
    access = {"url": f"https://{PUBLIC_NAME}", "token_file": "token"}
    (tmp_path / "access.json").write_text(json.dumps(access))
    assert edit("--access", tmp_path / "access.json", "--url", server.url) == 0
    assert "does not speak for 127.0.0.1" in capsys.readouterr().err
    assert not [headers for headers in server.headers if "Authorization" in headers]


def test_a_token_file_open_to_everybody_is_pointed_out(
    server: ScriptedServer, edit: Edit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text("s3cret")
    (tmp_path / "token").chmod(0o644)
    assert edit("--url", server.url, "--token-file", tmp_path / "token") == 0
    assert "chmod 600" in capsys.readouterr().err


BAD_FILES = {
    "text.png": b"not a picture",
    "empty.png": b"",
    "phone.heic": b"\x00\x00\x00\x18ftypheic....",
    "empty.token": b" \n",
    "two.token": b"one\ntwo\n",
    "list.json": b"[]",
    "broken.json": b"{",
    "typed.json": b'{"url": 5}',
    "hop.json": b'{"url": "http://a.test", "connect_to": {"a.test": 5}}',
}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["IMG:missing.png"], "missing.png cannot be read"),
        (["IMG:text.png"], "text.png is not an image"),
        (["IMG:empty.png"], "empty.png is empty"),
        (["IMG:phone.heic"], "HEIC"),
        (["IMG:."], "cannot be read"),
        (["--prompt", "  "], "the prompt is empty"),
        (["IMG:photo.png", "IMG:photo.png", "IMG:photo.png", "IMG:photo.png"], "4 images"),
        (["--out", "@missing/out.png"], "does not exist"),
        (["--out", "@"], "is a folder"),
        (["--seed", "-1"], "not a number from 0"),
        (["--seed", "18446744073709551616"], "not a number from 0"),
        (["--steps", "0"], "not a number from 1"),
        (["--steps", "many"], "not a number from 1"),
        (["--timeout", "nan"], "not a number from 0.1"),
        (["--workflow", "../../etc/passwd"], "invalid choice"),
        (["--url", ""], "no URL is given"),
        (["--url", "qwen.test"], "no scheme"),
        (["--connect-to", "nowhere"], "HOST:PORT"),
        (["--ca-file", "@text.png", "--url", "https://a.test"], "cannot be used"),
        (["--token-file", "@none"], "cannot be read"),
        (["--token-file", "@empty.token"], "is empty"),
        (["--token-file", "@two.token"], "several lines"),
        (["--token-file", "@photo.png"], "is not text"),
        (["--access", "@none.json"], "cannot be read"),
        (["--access", "@list.json"], "no JSON object"),
        (["--access", "@broken.json"], "is not JSON"),
        (["--access", "@typed.json"], "no usable 'url'"),
        (["--access", "@hop.json"], "no usable 'connect_to'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_message_and_nothing_is_sent(
    server: ScriptedServer,
    tmp_path: Path,
    photo: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    says: str,
) -> None:
    for name, content in BAD_FILES.items():
        (tmp_path / name).write_bytes(content)
    images = [str(tmp_path / a[4:]) for a in arguments if a.startswith("IMG:")] or [str(photo)]
    more = [f"{tmp_path}/{a[1:]}" if a.startswith("@") else a for a in arguments if not a.startswith("IMG:")]
    line = [
        "edit",
        *images,
        "--prompt",
        "blue",
        "--out",
        str(tmp_path / "out.png"),
        "--url",
        server.url,
        *more,
    ]
    try:
        code = cli.main(line)
    except SystemExit as stop:  # argparse's own way out
        code = int(stop.code or 0)
    assert code == 2
    assert says in capsys.readouterr().err
    assert not server.requests
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("path", "answer", "code"),
    [
        ("/upload/image", (401, "no"), 3),
        ("/upload/image", (413, "no"), 4),
        ("/upload/image", (502, "no"), 8),
        ("/prompt", (400, {"error": {"type": "prompt_no_outputs", "message": "none"}, "node_errors": {}}), 4),
        ("/view", (404, ""), 8),
    ],
)
def test_a_failure_has_its_exit_code_and_leaves_the_old_file_as_it_was(
    server: ScriptedServer,
    edit: Edit,
    out: Path,
    capsys: pytest.CaptureFixture[str],
    path: str,
    answer: tuple[int, object],
    code: int,
) -> None:
    out.write_bytes(b"older picture")
    server.answers_for_ever[path] = answer
    assert edit("--url", server.url, "--quiet") == code
    assert out.read_bytes() == b"older picture"
    assert sorted(p.name for p in out.parent.iterdir()) == ["out.png", "photo.png"]
    message = capsys.readouterr().err
    assert message.count("comfystack: ") == 1
    assert "expected:" in message
    assert "next step:" in message


@pytest.mark.parametrize("picture", [b"", b"<html>", png()[:-6]], ids=["empty", "a page", "cut off"])
def test_an_output_that_is_no_whole_png_is_not_written(
    server: ScriptedServer, edit: Edit, out: Path, picture: bytes
) -> None:
    server.picture = picture
    assert edit("--url", server.url) == 8
    assert not out.exists()


def test_an_untrusted_certificate_has_its_own_exit_code(site: Site, edit: Edit) -> None:
    with ScriptedServer(tls=site.server_context()) as server:
        hop = f"127.0.0.1:{server.port}"
        assert edit("--url", f"https://{PUBLIC_NAME}", "--ca-file", site.other_ca, "--connect-to", hop) == 9


def test_a_job_that_takes_too_long_has_its_own_exit_code(server: ScriptedServer, edit: Edit) -> None:
    server.story = run_for_ever
    assert edit("--url", server.url, "--timeout", "0.5") == 7
    assert not server.running


@pytest.mark.parametrize(
    ("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_stopping_the_command_stops_the_job(
    server: ScriptedServer, photo: Path, out: Path, stop: signal.Signals, code: int
) -> None:
    server.story = run_for_ever
    command = [sys.executable, "-m", "comfystack", "edit", str(photo)]
    command += ["--prompt", "blue", "--out", str(out), "--url", server.url]
    environment = os.environ | {"PYTHONPATH": str(CLIENT)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert server.told.wait(20)
            process.send_signal(stop)
            _, message = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == code
    assert "Traceback" not in message
    assert not server.running
    (prompt_id,) = server.history
    assert server.sent("/interrupt") == [{"prompt_id": prompt_id}]
    assert not out.exists()


def test_a_reader_that_has_enough_is_no_error() -> None:
    command = [sys.executable, "-m", "comfystack", "workflow", "list"]
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
    assert (process.returncode, said) == (141, b"")


def test_every_command_has_json() -> None:
    def without(parser: argparse.ArgumentParser, name: str) -> list[str]:
        deeper = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
        if not deeper:
            return [] if "--json" in parser._option_string_actions else [name]
        return [
            left
            for one in deeper
            for word, sub in one.choices.items()
            for left in without(sub, f"{name} {word}")
        ]

    assert without(cli._parser(), "comfystack") == []


def test_every_packaged_workflow_follows_the_convention_of_its_nodes() -> None:
    assert set(graphs.EDITS) <= set(graphs.names())
    for name in graphs.names():
        graph = graphs.load(name)
        assert {"positive", "negative", "sampler", "saved"} <= graph.keys()
        assert name not in graphs.EDITS or {"image1", "image1_scaled"} <= graph.keys()
        for node_id, node in graph.items():
            links = [value for value in node["inputs"].values() if isinstance(value, list)]
            assert all(source in graph for source, _ in links), f"{name}: {node_id} hangs in the air"


def test_a_loaded_workflow_is_a_copy_of_its_own() -> None:
    graphs.load("edit")["sampler"]["inputs"]["steps"] = 1
    assert graphs.load("edit")["sampler"]["inputs"]["steps"] == 20
