"""The controller refuses a web.config that IIS would answer with 500.19, before a host sees it."""

from __future__ import annotations

from pathlib import Path

import pytest
from comfystack import cli, iis_lint
from comfystack.iis_lint import document
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.windows_host.winsim.iis import schema
from tests.unit.iis.machine import NAME, render


def refusals(text: str) -> list[str]:
    """What is wrong with the file as such, whatever a site of ours needs."""
    return document.read(text)[1]


def _nested(section: str) -> str:
    names = section.split("/")
    return "".join(f"<{name}>" for name in names) + "".join(f"</{name}>" for name in reversed(names))


@pytest.mark.parametrize("redirect", [True, False])
@pytest.mark.parametrize("site", [{"name": NAME, "backend_port": 8188}, {"name": NAME}])
def test_the_deployed_file_is_taken(site: dict[str, object], redirect: bool) -> None:
    assert iis_lint.refusals(render(site=site, _iis_gateway_redirect=redirect)) == []


@pytest.mark.parametrize("section", sorted(schema.LOCKED | schema.APPLICATION_HOST_ONLY))
def test_a_section_that_iis_locks_is_refused_by_name(section: str) -> None:
    (said,) = refusals(f"<configuration>\n{_nested(section)}</configuration>")
    assert said.startswith("line 2: the section ")
    (inside,) = refusals(f"<configuration>\n<location path='x'>{_nested(section)}</location></configuration>")
    assert inside == said


@pytest.mark.parametrize("section", sorted(schema.SECTIONS))
def test_a_section_that_a_site_may_set_is_taken(section: str) -> None:
    assert refusals(f"<configuration>{_nested(section)}</configuration>") == []


def test_hsts_belongs_to_the_site_in_applicationhost() -> None:
    (said,) = refusals(render().replace("<httpProtocol>", "<hsts enabled='true' /><httpProtocol>"))
    assert "system.webServer/hsts exists in applicationHost.config only" in said


@pytest.mark.parametrize(
    ("find", "replace", "told"),
    [
        ("</rewrite>", "", "mismatched tag"),
        ("</configuration>", "", "no element found"),
        ('<?xml version="1.0"', '\n<?xml version="1.0"', "XML or text declaration not at start"),
        ('<?xml version="1.0" encoding="UTF-8"?>', "<!DOCTYPE configuration>", "document type"),
        ('encoding="UTF-8"', 'encoding="klingon"', "encoding"),
        ("configuration>", "config>", "not with <configuration>"),
        ("{UNENCODED_URL}", "{UNENCODED_URL}&x=1", "not well-formed"),
    ],
)
def test_what_is_no_configuration_is_refused_with_its_line(find: str, replace: str, told: str) -> None:
    assert find in render()
    said = refusals(render().replace(find, replace))
    assert any(told in line for line in said), said
    assert all(line.startswith("line ") for line in said)


@given(st.text(max_size=200))
def test_any_text_is_taken_or_refused_with_a_reason(text: str) -> None:
    assert all(line.startswith("line ") for line in refusals(text))


class TestTheCommand:
    def test_a_sound_file_is_quiet(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "web.config").write_text(render())
        assert cli.main(["iis-lint", str(tmp_path / "web.config")]) == 0
        assert capsys.readouterr().out == ""

    def test_each_finding_is_a_line_with_its_file(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "web.config"
        file.write_text(render().replace("<httpProtocol>", "<proxy /><httpProtocol>"))
        assert cli.main(["iis-lint", str(file)]) == 2
        said = capsys.readouterr()
        assert said.out.startswith(f"{file}: line ")
        assert "system.webServer/proxy is locked" in said.out
        assert "1 reason(s)" in said.err

    @pytest.mark.parametrize("content", ["{}", "[]", "no json"])
    def test_a_plan_that_is_none_is_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
    ) -> None:
        (tmp_path / "web.config").write_text(render())
        (tmp_path / "plan").write_text(content)
        assert cli.main(["iis-lint", str(tmp_path / "web.config"), "--plan", str(tmp_path / "plan")]) == 2
        assert "is no plan" in capsys.readouterr().err

    def test_a_file_that_is_not_there_is_named(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["iis-lint", str(tmp_path / "nothing")]) == 2
        assert "nothing cannot be read" in capsys.readouterr().err
