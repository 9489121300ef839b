"""`make lock`: what the sources ask for at their commits, and clear words where that cannot be had."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.lab.names import ROOT
from tests.own_modules import load

lock: ModuleType = load("comfyui_image_lock", ROOT / "comfyui" / "image" / "lock.py")
WHO = ("-c", "user.name=test", "-c", "user.email=test@comfystack.test")


def repository(folder: Path, files: dict[str, str]) -> str:
    """A git repository with these files; returns its commit."""
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "Begin", "--allow-empty"]):
        subprocess.run(["git", "-C", str(folder), *WHO, *words], check=True)
    done = subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """What would be given to uv, by file name; its answer is one package."""
    calls: list[dict[str, str]] = []

    def resolve(inputs: list[Path], target: Path, header: str) -> None:
        calls.append({path.name: path.read_text() for path in inputs})
        target.write_text(header + "torch==1\n")

    monkeypatch.setattr(lock, "resolve", resolve)
    return calls


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Any]:
    """A sources lock of three repositories, one of them optional, one without requirements."""
    pins = {
        name: {"name": name, "repository": f"{tmp_path}/{name}", "commit": repository(tmp_path / name, files)}
        for name, files in {
            "ComfyUI": {"requirements.txt": "aiohttp\n"},
            "plain": {},
            "extra": {"requirements.txt": "gguf\n"},
        }.items()
    }
    pins["extra"]["optional"] = True  # type: ignore[assignment]
    found = {"comfyui": pins["ComfyUI"], "custom_nodes": [pins["plain"], pins["extra"]]}
    (tmp_path / "sources.lock.yml").write_text(yaml.safe_dump(found))
    (tmp_path / "cuda-1.in").write_text("torch==1\n")
    return found


def make(tmp_path: Path) -> int:
    code: int = lock.main([str(tmp_path / "cuda-1"), str(tmp_path / "sources.lock.yml")])
    return code


def test_it_resolves_what_each_source_asks_for_at_its_commit(
    tmp_path: Path, sources: dict[str, Any], compiled: list[dict[str, str]]
) -> None:
    (tmp_path / "ComfyUI" / "requirements.txt").write_text("later\n")
    assert make(tmp_path) == 0
    assert compiled == [{"cuda-1.in": "torch==1\n", "ComfyUI.txt": "aiohttp\n", "plain.txt": ""}]
    told = (tmp_path / "cuda-1.lock.txt").read_text()
    assert f"#   ComfyUI {sources['comfyui']['commit']}\n" in told
    assert "extra" not in told


def test_an_optional_node_is_in_it_where_it_is_named(
    tmp_path: Path,
    sources: dict[str, Any],
    compiled: list[dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOCK_NODES", "extra")
    assert make(tmp_path) == 0
    assert compiled[0]["extra.txt"] == "gguf\n"


def test_it_is_locked_for_another_commit_before_the_sources_lock_names_that(
    tmp_path: Path,
    sources: dict[str, Any],
    compiled: list[dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "ComfyUI" / "requirements.txt").write_text("aiohttp\nnew\n")
    own = ["git", "-C", str(tmp_path / "ComfyUI")]
    subprocess.run([*own, *WHO, "commit", "-qam", "Next"], check=True)
    done = subprocess.run([*own, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    monkeypatch.setenv("LOCK_COMMIT", done.stdout.strip())
    assert make(tmp_path) == 0
    assert compiled[0]["ComfyUI.txt"] == "aiohttp\nnew\n"


def test_a_clone_stands_in_for_the_repositories(
    tmp_path: Path,
    sources: dict[str, Any],
    compiled: list[dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for entry in (sources["comfyui"], *sources["custom_nodes"]):
        entry["repository"] = "https://answers-nobody.invalid/x.git"
    (tmp_path / "sources.lock.yml").write_text(yaml.safe_dump(sources))
    (tmp_path / "ComfyUI" / "custom_nodes").mkdir()
    (tmp_path / "plain").rename(tmp_path / "ComfyUI" / "custom_nodes" / "plain")
    monkeypatch.setenv("COMFYUI_SOURCE", str(tmp_path / "ComfyUI"))
    assert make(tmp_path) == 0
    assert compiled[0]["ComfyUI.txt"] == "aiohttp\n"


def test_a_commit_that_is_not_there_is_told_and_the_lock_stays(
    tmp_path: Path,
    sources: dict[str, Any],
    compiled: list[dict[str, str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    sources["comfyui"]["commit"] = "1" * 40
    (tmp_path / "sources.lock.yml").write_text(yaml.safe_dump(sources))
    (tmp_path / "cuda-1.lock.txt").write_text("as it was\n")
    assert make(tmp_path) == 1
    said = capsys.readouterr().err
    assert f"expected: commit {'1' * 40} of {tmp_path}/ComfyUI\n" in said
    assert "next step: " in said
    assert (tmp_path / "cuda-1.lock.txt").read_text() == "as it was\n"
    assert compiled == []


def test_an_unknown_variant_is_told_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert lock.main(["cuda-9.9"]) == 2
    assert "expected: a list of packages; there is cuda-12.8, cuda-13.0\n" in capsys.readouterr().err
