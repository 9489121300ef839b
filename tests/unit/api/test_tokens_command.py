"""`comfystack tokens` against the service itself."""

from __future__ import annotations

import io
import json
import stat
from pathlib import Path

import pytest
from comfystack import cli
from comfystack_api.tokens import Token, Tokens

from .conftest import TOKENS, Service, inventory


@pytest.fixture
def tokens(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    """The command's settings lead to the service, as an admin."""
    file = tmp_path / "operator"
    file.write_text(TOKENS["operator"])
    file.chmod(0o600)
    monkeypatch.setenv("COMFYSTACK_URL", service.server.url)
    monkeypatch.setenv("COMFYSTACK_TOKEN_FILE", str(file))
    for name in ("CA_FILE", "CONNECT_TO", "ACCESS"):
        monkeypatch.delenv(f"COMFYSTACK_{name}", raising=False)
    return service


def run(*words: str) -> int:
    return cli.main(["tokens", *words])


def test_a_made_token_opens_and_is_shown_once(tokens: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("create", "course") == 0
    token = capsys.readouterr().out.strip()
    assert len(token) >= 43
    assert tokens.edge("GET", "/", token).status == 204
    assert tokens.edge("POST", "/free", token).status == 403
    assert run("list") == 0
    listed = capsys.readouterr().out
    assert "course" in listed
    assert token not in listed


def test_into_a_file_it_is_written_for_its_owner_alone(
    tokens: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "course.token"
    assert run("create", "course", "--scope", "admin", "--out", str(file), "--json") == 0
    said = capsys.readouterr().out
    assert json.loads(said)["scope"] == "admin"
    token = file.read_text().strip()
    assert token not in said
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert tokens.edge("POST", "/free", token).status == 204


def test_a_file_that_is_there_is_not_replaced_and_nothing_is_made(tokens: Service, tmp_path: Path) -> None:
    (tmp_path / "here").write_text("mine")
    assert run("create", "course", "--out", str(tmp_path / "here")) == 2
    assert (tmp_path / "here").read_text() == "mine"
    assert "course" not in tokens.ask("GET", "/v1/tokens", "operator").text


def test_no_file_is_left_where_the_service_refuses(tokens: Service, tmp_path: Path) -> None:
    assert run("create", "ann", "--out", str(tmp_path / "left")) == 2
    assert not (tmp_path / "left").exists()


def test_the_token_of_comfyui_login_is_taken_over(
    tokens: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = "$2b$12$abcdefghijklmnopqrstuv/ABCDEFGHIJKLMNOPQRSTUVWXYZ.0123"
    (tmp_path / "old").write_text(f"{old}\n")
    assert run("import", "notebooks", "--from", str(tmp_path / "old")) == 0
    assert tokens.edge("GET", f"/prompt?token={old}").status == 204
    monkeypatch.setattr("sys.stdin", io.StringIO("n" * 40))
    assert run("import", "more", "--from", "-") == 0
    assert tokens.edge("GET", "/", "n" * 40).status == 204


@pytest.mark.parametrize("text", ["", "short", "two words " * 9, "é" * 40, "x" * 300])
def test_a_token_that_could_be_guessed_or_is_none_is_not(tokens: Service, tmp_path: Path, text: str) -> None:
    (tmp_path / "old").write_text(text)
    assert run("import", "notebooks", "--from", str(tmp_path / "old")) == 2


def test_one_is_exchanged_for_another_without_a_gap(
    tokens: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    run("create", "course-1")
    first = capsys.readouterr().out.strip()
    run("create", "course-2")
    second = capsys.readouterr().out.strip()
    assert [tokens.edge("GET", "/", one).status for one in (first, second)] == [204, 204]
    assert run("revoke", "course-1") == 0
    assert [tokens.edge("GET", "/", one).status for one in (first, second)] == [401, 204]
    assert run("revoke", "ann") == 0
    assert "take it out of the inventory, too" in capsys.readouterr().out


def test_one_with_an_end_is_made_and_listed_with_it(
    tokens: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("create", "course", "--expires", "2999-01-31", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["expires"], made["expired"]) == ("2999-02-01T00:00:00+00:00", False)
    assert tokens.edge("GET", "/", made["token"]).status == 204
    (tmp_path / "old").write_text("o" * 40)
    assert (
        run("import", "old", "--from", str(tmp_path / "old"), "--expires", "2999-01-31T18:00:00+02:00") == 0
    )
    out = tmp_path / "new"
    assert run("create", "new", "--out", str(out), "--expires", "2999-01-31") == 0
    assert "scope user, until 2999-02-01T00:00:00+00:00" in capsys.readouterr().out
    tokens.settings.tokens_file.write_text(inventory("operator", "gone", "ann"))
    assert run("list") == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert rows["course"].endswith(" until 2999-02-01T00:00:00+00:00")
    assert rows["old"].endswith(" until 2999-01-31T16:00:00+00:00")
    assert rows["gone"].endswith(" expired 2020-02-01T00:00:00+00:00")
    assert rows["ann"].endswith(" inventory")
    assert run("list", "--json") == 0
    listed = {one["name"]: one for one in json.loads(capsys.readouterr().out)["tokens"]}
    assert (listed["gone"]["expired"], listed["course"]["expired"], listed["ann"]["expires"]) == (
        True,
        False,
        None,
    )


@pytest.mark.parametrize("end", ["", "soon", "2027-02-30", "2999-01-31T18:00:00"])
def test_an_end_that_is_none_is_told_before_anything_is_made(
    tokens: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str], end: str
) -> None:
    assert run("create", "course", "--expires", end, "--out", str(tmp_path / "course")) == 2
    assert f"{end!r} is not a date such as 2027-01-31, or a moment" in capsys.readouterr().err
    assert not (tmp_path / "course").exists()


def test_an_end_that_is_past_makes_no_token(
    tokens: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("create", "course", "--expires", "2020-01-31", "--out", str(tmp_path / "course")) == 2
    assert "which is past; expected an end that is to come" in capsys.readouterr().err
    assert not (tmp_path / "course").exists()
    assert "course" not in tokens.ask("GET", "/v1/tokens", "operator").text


def test_a_service_that_knows_no_ends_leaves_no_token_without_one(
    tokens: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add = Tokens.add

    def of_before(self: Tokens, name: str, scope: str, digest: str, _: str | None) -> Token:
        return add(self, name, scope, digest)

    monkeypatch.setattr(Tokens, "add", of_before)
    assert run("create", "course", "--expires", "2999-01-31") == 2
    assert "has been revoked again" in capsys.readouterr().err
    assert "course" not in tokens.ask("GET", "/v1/tokens", "operator").text
    assert run("create", "course") == 0


def test_whoever_comes_with_one_that_has_ended_is_told(
    tokens: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens.settings.tokens_file.write_text(inventory("operator", "gone"))
    file = tmp_path / "gone"
    file.write_text(TOKENS["gone"])
    assert run("list", "--token-file", str(file)) == 3
    assert "answered 401: the token has expired" in capsys.readouterr().err


def test_what_cannot_be_done_is_told(
    tokens: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("revoke", "nobody") == 2
    assert "no token named nobody" in capsys.readouterr().err
    user = tmp_path / "ann"
    user.write_text(TOKENS["ann"])
    assert run("list", "--token-file", str(user)) == 3
