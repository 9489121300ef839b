"""`comfystack models` at the command line: what is printed, what stays secret, and the exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from comfystack import cli

from .conftest import Site
from .test_killed import CLIENT


def run(site: Site, action: str, *arguments: str | Path) -> int:
    more = ["--mirror", site.source.url, "--reserve", "0"] if action == "fetch" else []
    return cli.main(
        ["models", action, "--dir", str(site.folder), "--lock", str(site.lock), *more, *map(str, arguments)]
    )


def test_fetch_list_and_verify_tell_the_same(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.add("a")
    site.add("b")
    assert run(site, "list") == 0
    assert capsys.readouterr().out.count("missing") == 2
    assert run(site, "fetch") == 0
    assert capsys.readouterr().out == "2 fetched, 0 adopted, 0 known to be good\n"
    assert run(site, "list") == 0
    assert "good       loras/a.safetensors (3 kB), Apache-2.0" in capsys.readouterr().out
    assert run(site, "verify") == 0
    assert run(site, "fetch", "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["held"] == [
        "loras/a.safetensors",
        "loras/b.safetensors",
    ]


def test_verify_reads_every_byte_and_names_each_wrong_file(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    for key in "abc":
        site.add(key)
    run(site, "fetch")
    times = site.final("a").stat()
    content = bytearray(site.final("a").read_bytes())
    content[-1] ^= 1
    site.final("a").write_bytes(content)
    os.utime(site.final("a"), ns=(times.st_atime_ns, times.st_mtime_ns))
    site.final("b").unlink()
    site.final("c").write_bytes(b"short")
    capsys.readouterr()
    assert run(site, "verify", "--quick") == 10, "the stamp still fits a, b and c are found"
    assert "a.safetensors" not in capsys.readouterr().out
    assert run(site, "verify") == 10
    out = capsys.readouterr().out
    assert "a.safetensors: SHA-256" in out
    assert "b.safetensors: not there" in out
    assert "c.safetensors: 5 bytes" in out


def test_a_wrong_file_ends_with_10_and_a_refused_token_with_3(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.add("a", sha256="0" * 64)
    assert run(site, "fetch") == 10
    site.source.always = (401, {})
    assert run(site, "fetch") == 3
    assert "expected:  the file" in capsys.readouterr().err


def test_a_token_file_that_others_can_read_is_refused(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.add("a")
    token = tmp_path / "token"
    token.write_text("hf_x")
    token.chmod(0o644)
    assert run(site, "fetch", "--token-file", token) == 2
    assert f"chmod 600 {token}" in capsys.readouterr().err
    token.chmod(0o600)
    assert run(site, "fetch", "--token-file", token) == 0
    assert site.source.header("Authorization")[0] == "Bearer hf_x"


def test_neither_token_nor_address_stand_in_the_process_list(site: Site, tmp_path: Path) -> None:
    site.add("a", 2_000_000)
    site.source.rate = 400_000
    site.source.token = "hf_neverSeen"  # noqa: S105
    token = tmp_path / "token"
    token.write_text("hf_neverSeen")
    token.chmod(0o600)
    command = [sys.executable, "-m", "comfystack.models", "fetch", "--dir", site.folder, "--lock", site.lock]
    command += ["--mirror", site.source.url, "--reserve", "0", "--token-file", token]
    environment = {**os.environ, "PYTHONPATH": str(CLIENT)}
    with subprocess.Popen(list(map(str, command)), env=environment, stderr=subprocess.DEVNULL) as process:
        assert site.source.moving.wait(60)
        lines = [
            (Path(f"/proc/{line}/cmdline").read_bytes() + Path(f"/proc/{line}/environ").read_bytes())
            for line in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        ]
        site.source.rate = None
    assert process.returncode == 0
    assert any(b"aria2c" in line for line in lines)
    assert not any(b"hf_neverSeen" in line or b"a.safetensors" in line for line in lines)


def test_prune_shows_first_and_removes_only_what_is_proved_and_not_needed(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    for key in ("a", "b", "c"):
        site.add(key)
    run(site, "fetch")
    text = site.lock.read_text()
    site.lock.write_text(
        text.replace("sets:\n  fp8:\n  - a\n  - b\n  - c\n", "sets: {fp8: [a], other: [b, c]}\n")
    )
    site.final("c").write_bytes(b"of somebody else")
    own = site.folder / "loras" / "own.safetensors"
    own.write_bytes(b"the site's")
    half = site.folder / "loras" / ".b.safetensors.part"
    half.write_bytes(b"half")
    assert run(site, "prune") == 0
    assert "--yes removes it" in capsys.readouterr().out
    assert site.final("b").exists()
    assert run(site, "prune", "--yes") == 0
    assert site.rest() == ["a.safetensors", "c.safetensors", "own.safetensors"]


def test_without_a_lock_or_folder_the_next_step_is_said(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.add("a")
    assert cli.main(["models", "list", "--dir", str(site.folder / "no"), "--lock", str(site.lock)]) == 2
    assert "make it, or correct --dir" in capsys.readouterr().err


def test_the_guests_form_needs_neither_aiohttp_nor_rich(site: Site) -> None:
    site.add("a")
    code = (
        "import sys; sys.modules.update(aiohttp=None, rich=None)\n"
        "import runpy; runpy.run_module('comfystack.models', run_name='__main__')"
    )
    folder = site.folder.parent / "guest" / "comfystack"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    for name in ("errors.py", "telling.py", "output.py", "models"):
        (folder / name).symlink_to(CLIENT / "comfystack" / name)
    done = subprocess.run(
        [sys.executable, "-c", code, "list", "--dir", str(site.folder), "--lock", str(site.lock)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(folder.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "missing" in done.stdout
