"""The site's secrets are where they belong and nowhere else: not printed, rendered, logged, left behind or told to a
process, by a deployment that brings them anew and says all that Ansible may say.
"""

from __future__ import annotations

import base64
import fnmatch
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.lab.names import PUBLIC_NAME

from . import look
from .engine_view import ask
from .needles import PEM_KEYS, PFX, SITE_KEY, WORDS, Wanted, as_line, needles, within
from .running import REPORTS, Done
from .site import DEPLOY_SECONDS, Lab
from .watch import SOURCE, Watch, watching

TOKENS = "/opt/comfystack/api/conf/tokens.json"
# Found in the logs by the name of this page, which is asked for with the token in its address.
PAGE = "/asked-for-by-an-old-notebook"
GUEST_FOLDERS = ("/", "/var/lib/docker", "/run", "/tmp", "/dev/shm")  # noqa: S108 - looked at, not written to
WINDOWS_FOLDERS = ("/var/lib/winsim", "/etc/winsim", "/tmp", "/root", "/var/log", "/var/tmp")  # noqa: S108
STATE = "/var/lib/winsim/state.json"
# The role's default.
STORE = "WebHosting"
Found = set[tuple[str, str]]

# Secret and place (a pattern), and why it is there. Each of them must be found there, too: that the looking works is
# shown by what it finds.
GUEST_MAY_HOLD = {
    ("ssh/host", "/etc/ssh/ssh_host_ed25519_key 0600"): "the key by which the guest itself is known",
}
WINDOWS_MAY_HOLD = {
    ("windows-password", "/etc/winsim/users"): "stands for Windows' own accounts",
    ("windows-password", "/tmp/winsim-*/ntlm-users"): "the same, as the NTLM library reads it",  # noqa: S108
    ("tls/winrm.key", "/etc/winsim/winrm.key"): "the key of WinRM's own listener",
    (SITE_KEY, f"{STATE} certificates"): "the certificate store, where Windows keeps keys",
}
CONTROLLER_MAY_HOLD = {
    (name, f"{name} 0600"): "the operator's own copy" for name in (*WORDS, *PEM_KEYS, PFX)
} | {
    ("windows-password", "windows-users 0600"): "accounts with which the simulated machine begins",
}
pytestmark = pytest.mark.usefixtures("deployed")


def misplaced(found: Found, allowed: Iterable[tuple[str, str]]) -> Found:
    """What of `found` is in no allowed place."""
    return {
        (name, place)
        for name, place in found
        if not any(name == n and fnmatch.fnmatch(place, p) for n, p in allowed)
    }


def unused(found: Found, allowed: Iterable[tuple[str, str]]) -> Found:
    """Allowed places where nothing was found."""
    return {
        (n, p)
        for n, p in allowed
        if not any(name == n and fnmatch.fnmatch(place, p) for name, place in found)
    }


@pytest.fixture(scope="module")
def wanted(lab: Lab, deployed: Done) -> Wanted:
    return needles(lab.build)


def guest_files(lab: Lab, wanted: Wanted, *folders: str) -> Found:
    """Any file, whoever may read it: rendered ones, container logs, image layers, caches, the journal."""
    command = lab.ssh("python3", "-c", SOURCE, "files", *folders)
    done = subprocess.run(command, input=as_line(wanted), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {(name, f"{path} {mode}") for name, path, mode in json.loads(done.stdout)}


def windows_files(lab: Lab, wanted: Wanted) -> Found:
    """The simulated drives with their logs, and the machine's memory: its certificate store apart from the rest."""
    answer = ask("contents", lab.names.container("windows-host"), *WINDOWS_FOLDERS)
    files = {path: base64.b64decode(content) for path, content in answer.items()}
    state = json.loads(files.pop(STATE))
    files[f"{STATE} certificates"] = json.dumps(state.pop("certificates")).encode()
    files[STATE] = json.dumps(state).encode()
    return {(name, path) for path, content in files.items() for name in within(content, wanted)}


def folder_files(folder: Path, wanted: Wanted) -> Found:
    """Files below `folder` on the controller, by their relative paths."""
    found = look.look_in_files([str(folder)], wanted)
    return {(name, f"{Path(path).relative_to(folder)} {mode}") for name, path, mode in found}


def ask_from_outside(lab: Lab, path: str, **headers: str) -> int:
    """Status of a request through the public name."""
    access = lab.access
    address, _, port = access["connect_to"][PUBLIC_NAME].rpartition(":")
    context = ssl.create_default_context(cafile=access["ca_file"])
    with (
        socket.create_connection((address, int(port)), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname=PUBLIC_NAME) as stream,
    ):
        connection = http.client.HTTPConnection(PUBLIC_NAME)
        connection.sock = stream
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status


def with_the_token(lab: Lab, script: str) -> str:
    """A shell script as root on the Docker host, which has $token: over a pipe, because the host itself has none."""
    command = lab.ssh("bash", "-euc", f"read -r token\n{script}")
    done = subprocess.run(
        command, input=lab.secret("token") + "\n", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def is_sent_in_every_way(lab: Lab) -> None:
    """The token in headers and, as old notebooks do, in the address; in a refused request that is too large, too."""
    token = lab.secret("token")
    address = f"{PAGE}?token={token}"
    assert ask_from_outside(lab, address) == 404
    assert ask_from_outside(lab, f"{address}wrong") == 401
    assert ask_from_outside(lab, address, Authorization=f"Bearer {token}") == 404
    assert ask_from_outside(lab, address, **{"X-API-Key": token}) == 404
    assert ask_from_outside(lab, address, Authorization=f"Bearer {token}wrong") == 401
    too_large = (
        f"""printf 'url = "http://127.0.0.1:8188{PAGE}?token=%s"\\nheader = "X-API-Key: %s"\\n' $token $token |"""
        " docker exec -i edge curl -sS -K - -H 'Content-Length: 999999999999' -o /dev/null -w '%{http_code}'"
    )
    assert with_the_token(lab, too_large) == "413"


@pytest.fixture(scope="module")
def here_and_there(lab: Lab) -> dict[str, list[str]]:
    """Commands that look at processes: on the controller, and as root on the Docker host."""
    return {
        "controller": [sys.executable, look.__file__, "processes"],
        "gpu-host": lab.ssh("python3", "-c", SOURCE, "processes"),
    }


@pytest.fixture(scope="module")
def wordy(
    lab: Lab, wanted: Wanted, here_and_there: dict[str, list[str]]
) -> Iterator[tuple[Done, dict[str, Watch]]]:
    """`make deploy` with -vvv and --diff where token and certificate were lost; both hosts' processes are watched."""
    certificate = x509.load_pem_x509_certificate((lab.build / "tls" / "site.crt").read_bytes())
    thumbprint = certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - Windows' name for it
    lab.guest("secrets-lost-token", f"rm {TOKENS}")
    lost = {"state": "absent", "thumbprint": thumbprint, "store_name": STORE}
    lab.windows("secrets-lost-certificate", "ansible.windows.win_certificate_store", **lost)
    with (
        watching(here_and_there["controller"], wanted) as controller,
        watching(here_and_there["gpu-host"], wanted) as guest,
    ):
        # With a certificate that has a password: the lab's usual ones have none.
        say_all = {"ANSIBLE_VERBOSITY": "3", "ANSIBLE_DIFF_ALWAYS": "1", "LAB_CERTIFICATES": "pfx"}
        done = lab.make("secrets-wordy", "deploy", seconds=DEPLOY_SECONDS, **say_all).ended_well()
    is_sent_in_every_way(lab)
    yield done, {"controller": controller, "gpu-host": guest}
    lab.play("secrets-usual-certificates", "--limit", "windows-host").ended_well()


def test_a_deployment_prints_no_secret_however_much_it_is_asked_to_say(
    wordy: tuple[Done, dict[str, Watch]], wanted: Wanted
) -> None:
    done, _ = wordy
    assert within(done.output.encode(), wanted) == []
    # It said much, and did handle both.
    assert "module_args:" in done.output
    for task in (
        "The tokens' digests are in place",
        "The certificate is in the store, its key not exportable",
    ):
        after = done.output.partition(f": {task}]")[2].partition("\nTASK [")[0]
        assert re.search(r"^changed: ", after, re.MULTILINE), f"{task}: {after}"
        assert "no_log: true" in after, f"{task}: {after}"


def test_no_process_is_told_a_secret(wordy: tuple[Done, dict[str, Watch]]) -> None:
    """Arguments can be read by every user, and environments are handed down."""
    _, watches = wordy
    assert {host: watch.findings for host, watch in watches.items() if watch.findings} == {}
    assert all(watch.seen > 100 for watch in watches.values()), watches


def test_no_file_of_the_docker_host_holds_a_secret_but_those_made_for_it(
    lab: Lab, wanted: Wanted, wordy: tuple[Done, dict[str, Watch]]
) -> None:
    found = guest_files(lab, wanted, *GUEST_FOLDERS)
    assert misplaced(found, GUEST_MAY_HOLD) == set()
    assert unused(found, GUEST_MAY_HOLD) == set()


# What is asked of a program besides, because its files may be compressed.
WORDS_OF_THE_GUEST = {
    "inspect": ("docker inspect $(docker ps -aq) $(docker image ls -q)", "comfyui-qwen"),
    "history": ("docker image ls -q | xargs -n 1 docker history --no-trunc", "CMD"),
    "edge-log": ("docker logs edge 2>&1", PAGE),
    "api-log": ("docker logs api 2>&1", PAGE),
    "comfyui-log": ("docker logs comfyui-qwen 2>&1", "Starting server"),
    "journal": ("journalctl --no-pager --all", "Accepted publickey"),
}


@pytest.mark.parametrize("about", WORDS_OF_THE_GUEST)
def test_docker_and_the_journal_know_no_secret(
    lab: Lab, wanted: Wanted, wordy: tuple[Done, dict[str, Watch]], about: str
) -> None:
    script, told = WORDS_OF_THE_GUEST[about]
    text = lab.guest(f"secrets-{about}", script)
    assert told in text
    assert within(text.encode(), wanted) == []


def test_windows_keeps_keys_in_its_certificate_store_alone_and_the_other_secrets_nowhere(
    lab: Lab, wanted: Wanted, wordy: tuple[Done, dict[str, Watch]]
) -> None:
    found = windows_files(lab, wanted)
    assert misplaced(found, WINDOWS_MAY_HOLD) == set()
    assert unused(found, WINDOWS_MAY_HOLD) == set()
    logs = [
        base64.b64decode(content).decode()
        for path, content in ask("contents", lab.names.container("windows-host"), WINDOWS_FOLDERS[0]).items()
        if "/inetpub/logs/" in path
    ]
    assert any(f"GET {PAGE} " in log for log in logs), "IIS logged none of the requests"


def test_the_labs_own_containers_know_no_secret(
    lab: Lab, wanted: Wanted, wordy: tuple[Done, dict[str, Watch]]
) -> None:
    known = json.dumps(ask("inspect", lab.names.lab)) + ask("logs", lab.names.container("windows-host"))
    assert within(known.encode(), wanted) == []
    assert "winsim.commands" in known


def test_on_the_controller_they_stand_in_the_build_folder_for_their_owner_alone(
    lab: Lab, wanted: Wanted, wordy: tuple[Done, dict[str, Watch]]
) -> None:
    found = folder_files(lab.build, wanted)
    assert misplaced(found, CONTROLLER_MAY_HOLD) == set()
    assert unused(found, CONTROLLER_MAY_HOLD) == set()
    kept = Path(os.environ.get("ANSIBLE_HOME", "~/.ansible")).expanduser()
    assert not kept.is_dir() or folder_files(kept, wanted) == set()


def test_nothing_that_any_of_these_tests_saw_printed_has_a_secret(
    wanted: Wanted, wordy: tuple[Done, dict[str, Watch]]
) -> None:
    """Failed deployments with what they show of the reason, verify, repairs: all the logs up to here."""
    assert folder_files(REPORTS, wanted) == set()
    assert any("secrets-wordy" in report.name for report in REPORTS.iterdir())


@pytest.fixture(scope="module")
def planted(lab: Lab, wordy: tuple[Done, dict[str, Watch]]) -> Iterable[None]:
    with_the_token(
        lab,
        "(umask 077; echo $token | base64 -w0 > /opt/comfystack/notes)\n"
        "tar c -C /opt/comfystack notes | docker import - planted > /dev/null\n"
        "logger presented: $token\n"
        "echo $token > /proc/$(docker inspect -f '{{.State.Pid}}' edge)/fd/1\n"
        "journalctl --sync",
    )
    copied = {"src": str(lab.build / "token"), "dest": r"C:\inetpub\left.txt"}
    lab.windows("secrets-planted-on-windows", "ansible.windows.win_copy", **copied)
    yield
    lab.guest(
        "secrets-removed",
        "rm /opt/comfystack/notes\ndocker image rm planted\ndocker rm -f edge\n"
        "docker compose -f /opt/comfystack/edge/compose.yml up -d --wait\n"
        "journalctl --rotate --vacuum-size=1",
    )
    removed = {"path": r"C:\inetpub\left.txt", "state": "absent"}
    lab.windows("secrets-removed-on-windows", "ansible.windows.win_file", **removed)


class TestTheLookingBites:
    """The token is planted where it must not be, and each time it is seen."""

    @pytest.mark.usefixtures("planted")
    def test_in_a_file_an_image_and_a_containers_log(self, lab: Lab, wanted: Wanted) -> None:
        found = guest_files(lab, wanted, "/opt", "/var/lib/docker")
        places = " ".join(place for name, place in misplaced(found, GUEST_MAY_HOLD) if name == "token")
        assert "/opt/comfystack/notes 0600" in places
        assert re.search(r"/var/lib/docker/\S+/notes ", places)
        assert re.search(r"/var/lib/docker/containers/\S+\.log ", places)

    @pytest.mark.usefixtures("planted")
    def test_in_the_journal(self, lab: Lab, wanted: Wanted) -> None:
        # Straight to us and into no log of these tests.
        done = subprocess.run(lab.ssh("journalctl", "--no-pager"), capture_output=True, check=True)
        assert within(done.stdout, wanted) == ["token"]

    @pytest.mark.usefixtures("planted")
    def test_on_a_drive_of_windows(self, lab: Lab, wanted: Wanted) -> None:
        left = misplaced(windows_files(lab, wanted), WINDOWS_MAY_HOLD)
        assert left == {("token", "/var/lib/winsim/drives/c/inetpub/left.txt")}

    @pytest.mark.parametrize("host", ["controller", "gpu-host"])
    def test_in_the_arguments_of_a_process(
        self, lab: Lab, wanted: Wanted, here_and_there: dict[str, list[str]], host: str
    ) -> None:
        told = 'read -r token; exec -a "planted $token" cat'
        commands: dict[str, Callable[[], list[str]]] = {
            "controller": lambda: [sys.executable, "-c", "input()", lab.secret("token")],
            "gpu-host": lambda: lab.ssh("bash", "-c", told),
        }
        with watching(here_and_there[host], wanted) as watch:
            planted = subprocess.Popen(commands[host](), stdin=subprocess.PIPE)
            if host == "gpu-host":
                assert planted.stdin is not None
                planted.stdin.write(f"{lab.secret('token')}\n".encode())
                planted.stdin.flush()
            watch.wait_for_a_finding()
            planted.communicate(b"\n")
        program = {"controller": sys.executable, "gpu-host": "planted"}[host]
        assert ("token", "arguments", program) in watch.findings
