"""A secret that somebody is about to commit is seen, in whatever file it stands, and its value is not shown."""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.secret_scan import __main__ as program
from tests.secret_scan.scanning import UNREAD, ScanError, allowances, findings

TOKEN = secrets.token_hex(32)
PASSWORD = secrets.token_urlsafe(12)


def private_key() -> str:
    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        .decode()
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with one harmless file, one folder that git ignores and nothing committed."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("/build/\n")
    (tmp_path / "README.md").write_text("# A site\n\nThe token is in build/lab/token.\n")
    return tmp_path


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            "inventories/mine/group_vars/gpu_hosts.yml",
            f"api_service_tokens:\n  - name: me\n    token: {TOKEN}\n",
        ),
        ("inventories/mine/group_vars/windows_hosts.yml", f"ansible_password: {PASSWORD}\n"),
        ("inventories/mine/group_vars/all.yml", f"tls_certificate_pfx_password: {PASSWORD}\n"),
        ("token", f"{TOKEN}\n"),
        ("edge/tokens.conf", f'"{TOKEN}" "lab";\n'),
        ("edge/tokens.map", f'"{TOKEN}" "lab";\n'),
        ("docs/try-it.md", f"    curl -H 'Authorization: Bearer {TOKEN}' https://example.test/prompt\n"),
        ("docs/old-notebook.md", f"see https://example.test/view?token={TOKEN}\n"),
        ("try-it.sh", f"curl -H 'X-API-Key: {TOKEN}' https://example.test/prompt\n"),
        ("tool.py", f'TOKEN = "{TOKEN}"\n'),
        ("Set-Something.ps1", f"$Password = '{PASSWORD}'\n"),
        ("tls/site.key", private_key()),
        ("tool_with_a_key.py", f'KEY = """\n{private_key()}"""\n'),
    ],
)
def test_a_secret_is_seen_and_not_shown(
    repository: Path, capsys: pytest.CaptureFixture[str], file: str, text: str
) -> None:
    assert program.main(repository) == 0, "the repository is clean before"
    place = repository / file
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    assert program.main(repository) == 1
    said = capsys.readouterr().out
    assert f"{file}:" in said
    assert "next step: " in said
    assert not [line for line in text.split() if len(line) > 30 and line in said]


def test_what_git_ignores_is_not_looked_at(repository: Path) -> None:
    (repository / "build").mkdir()
    (repository / "build" / "token").write_text(f"{TOKEN}\n")
    assert program.main(repository) == 0


def test_a_comment_on_the_line_does_not_allow_it(repository: Path) -> None:
    (repository / "tool.py").write_text(f'TOKEN = "{TOKEN}"  # pragma: allowlist secret\n')
    assert program.main(repository) == 1


def test_a_file_that_the_scanner_would_pass_by_must_be_allowed_by_name(repository: Path) -> None:
    (repository / "picture.png").write_bytes(b"\x89PNG")
    (found,) = findings(repository)
    assert (found.file, found.type) == ("picture.png", UNREAD)


def test_an_allowance_that_nothing_needs_is_told(
    repository: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("allowed") / "allowed.yml"
    path.write_text(
        '- {files: "nowhere/*", type: Secret Keyword, line: "^nothing$", reason: gone long ago}\n'
    )
    monkeypatch.setattr(program, "ROOT", repository)
    monkeypatch.setattr(program, "allowances", lambda: allowances(path))
    assert program.main(repository) == 1
    assert "nowhere/*" in capsys.readouterr().out


@pytest.mark.parametrize(
    "entry",
    [
        '{files: "*", type: x, line: x}',
        '{files: "*", type: x, line: x, reason: " "}',
        '{files: "*", reason: x}',
    ],
)
def test_an_allowance_without_a_reason_is_refused(tmp_path: Path, entry: str) -> None:
    path = tmp_path / "allowed.yml"
    path.write_text(f"- {entry}\n")
    with pytest.raises(ScanError, match="expected: files, line, reason, type"):
        allowances(path)


def test_without_git_it_says_so_instead_of_finding_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(tmp_path) == 1
    assert "found: no list of the repository's files" in capsys.readouterr().err
