"""The files around the code stay true to it: hooks, workflow, the bot's patterns, editor settings, the changelog."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.molecule.names import scenarios
from tests.run import STEPS

ROOT = Path(__file__).resolve().parents[3]
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
RENOVATE = json.loads((ROOT / ".github" / "renovate.json").read_text())
WORKFLOWS = ROOT / ".github" / "workflows"
WORKFLOW = yaml.safe_load((WORKFLOWS / "ci.yml").read_text())
REAL_WINDOWS = yaml.safe_load((WORKFLOWS / "real-windows.yml").read_text())


def command_of(entry: str) -> tuple[str, ...]:
    """What a hook runs, without the path of its program and without what only sets its environment."""
    words = shlex.split(entry)
    if words[:2] == ["bash", "-c"]:
        words = [word for word in shlex.split(words[2]) if not re.match(r"[A-Z_]+=", word)]
    return (words[0].removeprefix("build/venv/bin/"), *words[1:])


def test_the_hooks_run_what_make_lint_runs_in_the_same_order() -> None:
    (repo,) = HOOKS
    assert repo["repo"] == "local", "a hook with a version of its own would disagree with make lint one day"
    assert [command_of(hook["entry"]) for hook in repo["hooks"]] == [step.command for step in STEPS["lint"]]
    # The linters judge the whole repository, as `make lint` does, and not the files of one commit.
    assert not [
        hook["id"] for hook in repo["hooks"] if hook["pass_filenames"] or hook["language"] != "system"
    ]


@pytest.mark.parametrize(
    ("entry", "command"),
    [
        ("build/venv/bin/ruff check .", ("ruff", "check", ".")),
        ("bash -c 'PATH=$PWD/x:$PATH A=b tool --flag .'", ("tool", "--flag", ".")),
    ],
)
def test_a_hooks_command_is_read_from_its_entry(entry: str, command: tuple[str, ...]) -> None:
    assert command_of(entry) == command


def test_every_program_of_the_hooks_comes_from_build_venv() -> None:
    for hook in HOOKS[0]["hooks"]:
        assert hook["entry"].startswith(("build/venv/bin/", "bash -c 'PATH=$PWD/build/venv/bin:$PATH ")), (
            hook["id"]
        )


class TestTheWorkflow:
    def test_it_runs_the_repositorys_own_command_and_nothing_else(self) -> None:
        (job,) = WORKFLOW["jobs"].values()
        assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
        assert os.access(ROOT / ".ci" / "run", os.X_OK)

    def test_it_may_write_nothing_and_ends_by_itself(self) -> None:
        assert WORKFLOW["permissions"] == {"contents": "read"}
        (job,) = WORKFLOW["jobs"].values()
        assert 60 < job["timeout-minutes"] <= 90
        assert "secrets." not in (ROOT / ".github" / "workflows" / "ci.yml").read_text()

    @pytest.mark.parametrize("workflow", [WORKFLOW, REAL_WINDOWS], ids=lambda workflow: workflow["name"])
    def test_foreign_actions_are_pinned_to_commits(self, workflow: dict[str, Any]) -> None:
        (job,) = workflow["jobs"].values()
        used = [step["uses"] for step in job["steps"] if "uses" in step]
        assert used
        assert not [action for action in used if not re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action)]

    def test_every_workflow_is_compared_with_the_schema(self) -> None:
        (step,) = (step for step in STEPS["lint"] if step.name == "workflows")
        assert {file.name for file in WORKFLOWS.iterdir()} == {Path(word).name for word in step.command[3:]}

    def test_a_workflow_that_github_would_refuse_is_found(self, tmp_path: Path) -> None:
        (step,) = (step for step in STEPS["lint"] if step.name == "workflows")
        text = (WORKFLOWS / "real-windows.yml").read_text()
        (tmp_path / "w.yml").write_text(text.replace("runs-on:", "runs-at:"))
        program = Path(sys.executable).with_name(step.command[0])
        done = subprocess.run(
            [program, *step.command[1:3], tmp_path / "w.yml"], capture_output=True, text=True
        )
        assert done.returncode == 1
        assert "runs-on" in done.stdout


class TestTheWorkflowOnARealWindows:
    TEXT = (WORKFLOWS / "real-windows.yml").read_text()

    def test_it_says_that_it_was_never_run_and_is_started_by_hand_alone(self) -> None:
        assert "not yet run" in REAL_WINDOWS["name"]
        # YAML 1.1 reads `on` as true.
        assert REAL_WINDOWS[True] == "workflow_dispatch"
        assert REAL_WINDOWS["permissions"] == {"contents": "read"}
        assert "secrets." not in self.TEXT

    def test_what_it_names_is_there(self) -> None:
        assert (
            f"site_public_name: {REAL_WINDOWS['env']['PUBLIC_NAME']}\n"
            in (ROOT / "inventories" / "real-windows" / "group_vars" / "all" / "site.yml").read_text()
        )
        named = re.findall(r"tests[\\/]real_windows[\\/][\w.-]+", self.TEXT)
        assert len(named) == 2
        assert all((ROOT / name.replace("\\", "/")).exists() for name in named)
        script = (ROOT / "tests" / "real_windows" / "prove.sh").read_text()
        used = re.findall(r"(?:tests|inventories|iis)/[\w./-]*\w", script)
        assert len(used) > 4
        assert not [path for path in used if not (ROOT / path).exists()]
        assert os.access(ROOT / "tests" / "real_windows" / "prove.sh", os.X_OK)


class TestTheBot:
    def groups(self) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())[
            "dependency-groups"
        ]
        return found

    def test_every_dependency_has_a_pin_that_it_can_move(self) -> None:
        for name, group in self.groups().items():
            loose = [
                one for one in group if isinstance(one, str) and not re.fullmatch(r"[\w.-]+==[\w.]+", one)
            ]
            assert loose == [], name

    def test_the_page_that_the_browser_opens_is_the_one_of_the_image(self) -> None:
        (tested,) = (one for one in self.groups()["test"] if str(one).startswith("comfyui-frontend-package"))
        for lock in (ROOT / "comfyui" / "image" / "dependencies").glob("*.lock.txt"):
            assert f"\n{tested} " in lock.read_text(), lock.name

    def test_what_waits_for_a_person_is_still_installed(self) -> None:
        pinned = {
            one.split("==")[0] for group in self.groups().values() for one in group if isinstance(one, str)
        }
        for rule in RENOVATE["packageRules"]:
            named = {name.removeprefix("!") for name in rule["matchPackageNames"]}
            assert named <= pinned | {"NVIDIA/nvidia-container-toolkit"}, rule["description"]

    @pytest.mark.parametrize(
        "manager", RENOVATE["customManagers"], ids=lambda manager: manager["datasourceTemplate"]
    )
    def test_its_patterns_find_one_version_in_each_file(self, manager: dict[str, Any]) -> None:
        files = [
            path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if path.is_file() and _ours(path)
        ]
        versions = set()
        for pattern in manager["managerFilePatterns"]:
            # Renovate writes a regular expression between slashes.
            (file,) = [file for file in files if re.search(pattern.strip("/"), file)]
            text = (ROOT / file).read_text()
            python = [re.sub(r"\(\?<(\w+)>", r"(?P<\1>", one) for one in manager["matchStrings"]]
            found = [match["currentValue"] for one in python for match in re.finditer(one, text)]
            assert len(found) == 1, f"{file}: {found}"
            versions |= set(found)
        assert len(versions) == 1


def _ours(path: Path) -> bool:
    return not {"build", ".git", "node_modules"} & set(path.relative_to(ROOT).parts)


def test_editors_and_linters_agree_on_the_length_of_a_line() -> None:
    editor = configparser.ConfigParser()
    editor.read_string("[top]\n" + (ROOT / ".editorconfig").read_text())
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]
    yamllint = yaml.safe_load((ROOT / ".yamllint").read_text())
    assert editor.getint("*.py", "max_line_length") == ruff["line-length"]
    assert editor.getint("*.{yml,yaml}", "max_line_length") == yamllint["rules"]["line-length"]["max"]


def test_every_version_of_the_changelog_says_first_what_breaks() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    versions = re.split(r"(?m)^## ", text)[1:]
    assert versions
    for version in versions:
        assert re.search(r"(?m)^### (.+)$", version)[1] == "Breaking changes", version.splitlines()[0]  # type: ignore[index]


class TestContributing:
    TEXT = (ROOT / "CONTRIBUTING.md").read_text()

    def test_the_steps_of_the_tests_are_those_that_there_are(self) -> None:
        (listed,) = re.findall(r"one step: ([\w, ]+)$", self.TEXT, re.MULTILINE)
        assert re.split(r", | or ", listed) == list(STEPS)
        for steps in re.findall(r"-m tests\.run ([\w ]+?)\s+#", self.TEXT):
            assert set(steps.split()) <= set(STEPS)

    def test_the_scenario_of_the_example_exists(self) -> None:
        named = re.findall(r"-m tests\.molecule\.run (\w+)", self.TEXT)
        assert named
        assert set(named) <= set(scenarios())

    def test_its_paths_and_links_lead_somewhere(self) -> None:
        links = re.findall(r"\]\(([^)#:]+)\)", self.TEXT)
        assert links
        paths = re.findall(r"(?<![\w<./-])((?:tests|roles|ansible|\.github)/[\w./-]*\w)", self.TEXT)
        assert not [path for path in [*links, *paths] if not (ROOT / path).exists()]
