"""`make new-site`: a complete inventory from a few answers, or one message and nothing written."""

from __future__ import annotations

import os
import pty
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from . import rendering
from .interface import ROOT

SCRIPT = runpy.run_path(str(ROOT / "ansible" / "new_site.py"))
ANSWERS = {
    "NAME": "studio",
    "PUBLIC_NAME": "images.example.org",
    "GUEST": "siteadmin@192.0.2.10:2222",
    "WINDOWS": "ansible@winhost.example.org",
    "CARD": "NVIDIA GeForce RTX 3090",
}


def run(inventories: Path, **changes: str) -> int:
    """Its exit code, on the usual answers with some changed; an empty one counts as not given."""
    answers = {**ANSWERS, **changes}
    code: int = SCRIPT["main"]([f"{key}={answer}" for key, answer in answers.items() if answer], inventories)
    return code


@pytest.fixture
def written(tmp_path: Path) -> Path:
    assert run(tmp_path) == 0
    return tmp_path / "studio"


def test_the_answers_stand_where_ansible_reads_them(written: Path) -> None:
    guest = rendering.site(written, "guest")
    assert (guest["ansible_user"], guest["ansible_host"], guest["ansible_port"]) == (
        "siteadmin",
        "192.0.2.10",
        2222,
    )
    services = rendering.value("gpu_pin_services", "gpu_pin", guest)
    assert services == {"comfyui-qwen": {"name": "NVIDIA GeForce RTX 3090", "variant": "fp8-lightning"}}
    assert guest["comfyui_service_models_dir"] == "/srv/models"
    windows = rendering.site(written, "windows")
    assert (windows["ansible_host"], windows["ansible_port"]) == ("winhost.example.org", 5986)
    assert windows["site_name"] == "studio"
    assert rendering.value("iis_gateway_sites", "iis_gateway", windows) == [
        {"name": "images.example.org", "backend_port": 8188}
    ]


def test_the_guest_itself_can_be_the_controller(tmp_path: Path, written: Path) -> None:
    assert run(tmp_path, NAME="inside", GUEST="local") == 0
    hosts = yaml.safe_load((tmp_path / "inside" / "hosts.yml").read_text())["all"]["children"]
    assert hosts["gpu_hosts"]["hosts"] == {"guest": {"ansible_connection": "local"}}
    other = yaml.safe_load((written / "hosts.yml").read_text())["all"]["children"]
    assert hosts["windows_hosts"] == other["windows_hosts"]


def test_what_is_generated_for_the_site_has_its_own_folder(written: Path) -> None:
    # inventories/studio -> build/studio, two folders up.
    guest = rendering.site(written, "guest")
    assert rendering.value("site_token_file", "site", guest) == str(
        written.parents[1] / "build" / "studio" / "token"
    )


def test_nothing_of_the_template_is_left_to_fill_in(written: Path) -> None:
    files = [path for path in written.rglob("*") if path.is_file()]
    assert {path.relative_to(written).as_posix() for path in files} == {
        ".gitignore",
        "hosts.yml",
        "group_vars/all/site.yml",
        "group_vars/gpu_hosts.yml",
        "group_vars/windows_hosts.yml",
        "group_vars/vault.example.yml",
    }
    assert not [path for path in files if "${" in path.read_text()]


def test_a_new_site_sets_what_the_production_site_sets(written: Path) -> None:
    for file in ("group_vars/all/site.yml", "group_vars/gpu_hosts.yml", "group_vars/windows_hosts.yml"):
        ours = yaml.safe_load((written / file).read_text())
        theirs = yaml.safe_load((ROOT / "inventories" / "production" / file).read_text())
        assert list(ours) == list(theirs), file
    secrets = [written, ROOT / "inventories" / "production"]
    one, other = (yaml.safe_load((place / "group_vars/vault.example.yml").read_text()) for place in secrets)
    assert one == other


def test_what_is_there_is_never_overwritten(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (written / "hosts.yml").write_text("mine")
    assert run(written.parent, CARD="NVIDIA RTX A6000") == 2
    assert "studio exists already" in capsys.readouterr().err
    assert (written / "hosts.yml").read_text() == "mine"
    assert "A6000" not in (written / "group_vars" / "gpu_hosts.yml").read_text()


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        *(("NAME", bad) for bad in ("lab", "venv", "Studio", "../up", "a b", "1st", "x" * 32)),
        *(
            ("PUBLIC_NAME", bad)
            for bad in ("localhost", "Images.example.org", "http://x.org", "x..org", "192.0.2.1")
        ),
        *(
            ("GUEST", bad)
            for bad in ("192.0.2.10", "@host", "me@host:0", "me@host:65536", "me@host:ssh", "me@-h")
        ),
        ("WINDOWS", "me@host\nansible_password: x"),
        *(("CARD", bad) for bad in ("1", "3090", "RTX: 3090", 'RTX "3090"', "{{ x }}")),
        *(("MODELS", bad) for bad in ("models", "/srv/my models", "/srv:/etc", "~/models")),
    ],
)
def test_a_wrong_answer_is_explained_and_nothing_is_written(
    key: str, answer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, **{key: answer}) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"found: {key}={answer}; expected: ")
    assert said.endswith("nothing was written\n")
    assert list(tmp_path.iterdir()) == []


def test_all_wrong_and_missing_answers_are_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, NAME="", CARD="7", GUEST="nobody") == 2
    said = capsys.readouterr().err
    assert [line.split(";")[0] for line in said.splitlines()[:-1]] == [
        "found: no NAME",
        "found: GUEST=nobody",
        "found: CARD=7",
    ]


def test_an_unknown_answer_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert SCRIPT["main"](["NAMES=x"], tmp_path) == 2
    assert "found: NAMES=x\nexpected: NAME=… PUBLIC_NAME=…" in capsys.readouterr().err


def test_a_failure_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="no space"):
        run(tmp_path)
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=60, deadline=None)
@given(
    key=st.sampled_from(sorted(SCRIPT["QUESTIONS"])),
    answer=st.one_of(st.text(max_size=40), st.sampled_from(["no", "null", "on", "1e3", "0x1f", "yes@no"])),
)
def test_whatever_is_accepted_comes_back_from_yaml_as_it_was(key: str, answer: str) -> None:
    read: Callable[[str], dict[str, str] | None] = SCRIPT["QUESTIONS"][key].read
    found = read(answer)
    if found is None:
        return
    for path in (ROOT / "ansible").glob("site_template*/**/*.yml"):
        known = {name: "x" for question in SCRIPT["QUESTIONS"].values() for name in _names(question)}
        text = SCRIPT["Template"](path.read_text()).substitute(
            {**known, "guest_port": "1", "windows_port": "1", **found}
        )
        values = _scalars(yaml.safe_load(text))
        for name, value in found.items():
            if f': "${{{name}}}"' in path.read_text() or f": ${{{name}}}\n" in path.read_text():
                assert (int(value) if name.endswith("_port") else value) in values


def _names(question: object) -> list[str]:
    examples = ["a.example.org", "site", "me@host", "/srv/models", "NVIDIA RTX"]
    found = [question.read(example) for example in examples]  # type: ignore[attr-defined]
    return [name for names in found if names for name in names]


def _scalars(tree: object) -> list[object]:
    if isinstance(tree, dict):
        return [one for value in tree.values() for one in _scalars(value)]
    if isinstance(tree, list):
        return [one for value in tree for one in _scalars(value)]
    return [tree]


class TestFromATerminal:
    @pytest.fixture
    def clone(self, tmp_path: Path) -> Path:
        """The parts of the repository that the target needs."""
        (tmp_path / "inventories").mkdir()
        for name in ("site_template", "site_template_inside"):
            shutil.copytree(ROOT / "ansible" / name, tmp_path / "ansible" / name)
        shutil.copy(ROOT / "ansible" / "new_site.py", tmp_path / "ansible")
        shutil.copy(ROOT / "Makefile", tmp_path)
        return tmp_path

    def make(self, clone: Path, *answers: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = ["make", "new-site", f"PYTHON={sys.executable}", *answers]
        bare = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        return subprocess.run(
            command,
            cwd=clone,
            env={**bare, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def test_make_hands_the_answers_over_and_says_what_comes_next(self, clone: Path) -> None:
        done = self.make(clone, *(f"{key}={answer}" for key, answer in ANSWERS.items()))
        assert done.returncode == 0, done.stderr
        assert (clone / "inventories" / "studio" / "hosts.yml").is_file()
        assert "make deploy INVENTORY=inventories/studio" in done.stdout

    def test_a_name_that_only_the_environment_has_is_no_answer(self, clone: Path) -> None:
        # WSL sets NAME to the Windows host's name in every shell.
        done = self.make(
            clone, *(f"{key}={answer}" for key, answer in ANSWERS.items() if key != "NAME"), NAME="desktop"
        )
        assert done.returncode != 0
        assert "found: no NAME" in done.stderr

    def test_what_is_not_given_is_asked_until_it_fits(self, clone: Path) -> None:
        given_ = [f"{key}={answer}" for key, answer in ANSWERS.items() if key != "CARD"]
        ours, theirs = pty.openpty()
        os.write(ours, b"3090\nNVIDIA GeForce RTX 3090\n\n")
        done = subprocess.run(
            [sys.executable, clone / "ansible" / "new_site.py", *given_],
            stdin=theirs,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        os.close(theirs)
        os.close(ours)
        assert done.returncode == 0, done.stderr
        assert "found: 3090; expected: the card's name and no number" in done.stdout
        assert "RTX 3090" in (clone / "inventories" / "studio" / "group_vars" / "gpu_hosts.yml").read_text()
