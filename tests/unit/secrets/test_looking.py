"""A secret of a site is recognised in every form in which a deployment could spill it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from tests.e2e import look
from tests.e2e.needles import PEM_KEYS, PFX, SITE_KEY, WORDS, Wanted, needles, within
from tests.e2e.watch import watching
from tests.lab.credentials import ensure

PROCESSES = [sys.executable, look.__file__, "processes"]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The secrets of a lab."""
    folder = tmp_path_factory.mktemp("build")
    ensure(folder, "unit")
    return folder


@pytest.fixture(scope="module")
def wanted(build: Path) -> Wanted:
    return needles(build)


def test_each_secret_is_recognised_in_its_own_file_and_only_there(build: Path, wanted: Wanted) -> None:
    assert set(wanted) == {*WORDS, *PEM_KEYS, PFX, SITE_KEY}
    for name in set(wanted) - {SITE_KEY}:
        assert within((build / name).read_bytes(), wanted) == [name]
    for public in ("ca.pem", "tls/site.crt", "tls/winrm.crt", "ssh/host.pub", "ssh/siteadmin.pub"):
        assert within((build / public).read_bytes(), wanted) == []


def test_the_key_of_the_pfx_file_is_recognised_once_it_is_out_of_it(build: Path, wanted: Wanted) -> None:
    password = (build / "site-pfx-password").read_bytes()
    key = pkcs12.load_pkcs12((build / PFX).read_bytes(), password).key
    assert key is not None
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    assert within(pem, wanted) == [SITE_KEY]
    assert within(json.dumps({"key_pem": pem.decode()}).encode(), wanted) == [SITE_KEY]


@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
@pytest.mark.parametrize("before", ["", "x", "xy", "xyz"])
def test_a_secret_is_recognised_inside_of_other_text(
    build: Path, wanted: Wanted, name: str, encoding: str, before: str
) -> None:
    """As PowerShell's -EncodedCommand, as JSON in an Ansible module's standard input, in a log line."""
    secret = (build / name).read_text().strip()
    text = f"{before}password={secret}; more".encode(encoding)
    assert within(text, wanted) == [name]
    assert within(base64.b64encode(text), wanted) == [name]
    assert within(text.replace(secret.encode(encoding), b""), wanted) == []


class TestFiles:
    def test_every_form_is_found_in_files_whatever_is_around_it(self, wanted: Wanted, tmp_path: Path) -> None:
        expected = []
        for name, forms in wanted.items():
            for number, form in enumerate(forms):
                path = tmp_path / f"{name.replace('/', '-')}-{number}"
                path.write_bytes(b"\0\n" * 10 + form + b"\xff" * 10)
                path.chmod(0o640)
                expected.append([name, str(path), "0640"])
        (tmp_path / "harmless").write_bytes(b"\0nothing\n" * 1000)
        assert sorted(look.look_in_files([str(tmp_path)], wanted)) == sorted(expected)

    def test_links_and_pipes_are_passed_by(self, build: Path, wanted: Wanted, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(build / "token")
        subprocess.run(["mkfifo", str(tmp_path / "pipe")], check=True)
        assert look.look_in_files([str(tmp_path)], wanted) == []

    def test_it_runs_as_text_that_is_sent_to_a_host(self, build: Path, wanted: Wanted) -> None:
        line = json.dumps({"token": [base64.b64encode(form).decode() for form in wanted["token"]]})
        source = Path(look.__file__).read_text()
        command = [sys.executable, "-I", "-c", source, "files", str(build)]
        done = subprocess.run(command, input=line + "\n", capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) == [["token", str(build / "token"), "0600"]]


class TestProcesses:
    @pytest.mark.parametrize("place", ["arguments", "environment"])
    def test_one_that_is_told_a_secret_is_seen(self, build: Path, wanted: Wanted, place: str) -> None:
        token = (build / "token").read_text().strip()
        words = [f"--token={token}"] if place == "arguments" else []
        more = {"TOKEN": token} if place == "environment" else {}
        with watching(PROCESSES, wanted) as watch:
            assert watch.findings == []
            waiting = [sys.executable, "-c", "input()", *words]
            process = subprocess.Popen(waiting, stdin=subprocess.PIPE, env=more)
            watch.wait_for_a_finding()
            process.communicate(b"\n")
        assert {finding[:2] for finding in watch.findings} == {("token", place)}
        assert watch.seen > 1

    def test_one_that_began_before_is_seen_at_once(self, build: Path, wanted: Wanted) -> None:
        token = (build / "token").read_text().strip()
        with subprocess.Popen([sys.executable, "-c", "input()", token], stdin=subprocess.PIPE) as process:
            with watching(PROCESSES, wanted) as watch:
                pass
            process.communicate(b"\n")
        assert ("token", "arguments", sys.executable) in watch.findings
