"""Another ComfyUI: one that does not start changes nothing, one that cannot edit goes back, and no job is lost."""

from __future__ import annotations

import json
import shlex

import pytest
import yaml

from tests.lab.names import ROOT

from .running import Done
from .site import DEPLOY_SECONDS, Lab

BARE = "/srv/upgrades.git"
JOB = "0d6c3a5e-91f2-4f7b-a1a4-6d0f2a7c9e11"
ASK = (
    "import json, sys, urllib.request as r; body = sys.stdin.read(); "
    "print(r.urlopen(r.Request('http://127.0.0.1:8188' + sys.argv[1], body.encode() or None)).read().decode())"
)


def ask(lab: Lab, title: str, path: str, body: object = None) -> str:
    """What ComfyUI answers to a GET, or to a POST of `body`, asked inside of its container."""
    text = "" if body is None else json.dumps(body)
    command = f"docker exec -i comfyui-qwen python -c {shlex.quote(ASK)} {path}"
    return lab.guest(title, f"printf %s {shlex.quote(text)} | {command}")


def image(lab: Lab, title: str) -> str:
    script = "docker inspect -f '{{.State.Health.Status}} {{.Config.Image}}' comfyui-qwen"
    return lab.guest(title, script).strip()


def jobs(lab: Lab, title: str) -> list[str]:
    queue = json.loads(ask(lab, title, "/queue"))
    return [job[1] for job in queue["queue_running"] + queue["queue_pending"]]


@pytest.fixture(scope="module")
def commits(lab: Lab, deployed: Done) -> dict[str, str]:
    """Versions of ComfyUI in a repository that the site's sources lock names: by name, their commits."""
    lab.guest(
        "versions",
        f"rm -rf {BARE} /srv/upgrades; git clone -q /opt/comfystack/comfyui-image/ComfyUI /srv/upgrades\n"
        "cd /srv/upgrades; git config user.name lab; git config user.email lab@comfystack.test\n"
        "git checkout -q -b does-not-start; printf 'raise SystemExit(\"it cannot start\")\\n' >main.py\n"
        "git commit -qam 'It ends'; git checkout -q -b cannot-edit HEAD^\n"
        'sed -i \'s/"KSampler": k_sampler,/"KSampler": vae_encode,/\' comfysim/model_nodes.py\n'
        "git commit -qam 'No sampler'; git checkout -q -b good HEAD^\n"
        f"git commit -q --allow-empty -m 'As before'; git clone -q --bare /srv/upgrades {BARE}",
    )
    lock = lab.build / "sources.lock.yml"
    document = yaml.safe_load(lock.read_text())
    document["comfyui"]["repository"] = BARE
    lock.write_text(yaml.safe_dump(document, sort_keys=False))
    names = ("does-not-start", "cannot-edit", "good")
    told = lab.guest("commits", f"git -C {BARE} rev-parse {' '.join(names)}").split()
    return dict(zip(names, told[-3:], strict=True))


def test_a_version_that_does_not_start_is_found_out_beside_the_one_that_serves(
    lab: Lab, commits: dict[str, str]
) -> None:
    started = "docker inspect -f '{{.State.StartedAt}}' comfyui-qwen"
    before = lab.guest("started-before", started)
    done = lab.make("upgrade-does-not-start", "upgrade", DEPLOY_SECONDS, COMFYUI=commits["does-not-start"])
    assert done.code != 0, done
    for words in ("found: the new version ", "it cannot start", "which was not touched", "next step: "):
        assert words in done.output, done
    assert lab.guest("started-after", started) == before
    assert "candidate" not in lab.guest("containers", "docker ps -a --format '{{.Names}}'")


def test_a_version_that_cannot_edit_goes_back_and_the_queue_is_whole(
    lab: Lab, commits: dict[str, str]
) -> None:
    before, lock = image(lab, "upgrade-image-before"), (lab.build / "sources.lock.yml").read_text()
    graph = json.loads((ROOT / "comfyui" / "workflows" / "text-to-image.api.json").read_text())
    # It does not end by itself while it is looked for.
    graph["sampler"]["inputs"]["steps"] = 10000
    ask(lab, "job", "/prompt", {"prompt": graph, "prompt_id": JOB, "client_id": "somebody"})
    done = lab.make("upgrade-cannot-edit", "upgrade", DEPLOY_SECONDS, COMFYUI=commits["cannot-edit"])
    assert done.code != 0, done
    for words in (
        f"kept: {JOB} (client somebody)",
        "found: the new version serves, and verify is red",
        f"submitted again: {JOB} (client somebody)",
    ):
        assert words in done.output, done
    assert image(lab, "upgrade-image-after") == before
    assert (lab.build / "sources.lock.yml").read_text() == lock
    assert jobs(lab, "upgrade-jobs") == [JOB]
    # Nobody goes to the broken one by asking for the way back once more.
    again = lab.make("rollback-again", "rollback", DEPLOY_SECONDS)
    assert again.code != 0, again
    assert "found: no record of an upgrade" in again.output, again
    assert image(lab, "rollback-again-image") == before


def test_a_good_version_stays_with_the_jobs_and_the_lock_names_it(lab: Lab, commits: dict[str, str]) -> None:
    """By its playbooks: verify between the two was seen to decide above."""
    before = image(lab, "good-image-before")
    commit = f"comfyui_image_commit={commits['good']}"
    lab.playbook("upgrade-good", "ansible/upgrade.yml", "-e", commit).ended_well()
    done = lab.playbook("upgrade-good-finished", "ansible/upgrade/finish.yml").ended_well()
    assert f"submitted again: {JOB} (client somebody)" in done.output, done
    assert image(lab, "good-image-after") != before
    assert (
        yaml.safe_load((lab.build / "sources.lock.yml").read_text())["comfyui"]["commit"] == commits["good"]
    )
    assert jobs(lab, "good-jobs") == [JOB]
    ask(lab, "job-is-done", "/interrupt", {})
