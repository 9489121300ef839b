"""The reader of web.config, alone: whatever a file holds, the answer is a configuration or IIS's reason."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.windows_host.winsim.iis import schema, webconfig
from tests.lab.windows_host.winsim.iis.errors import ConfigError
from tests.unit.iis.machine import render


def _parse(inside: str) -> webconfig.WebConfig:
    return webconfig.parse(
        f"<configuration><system.webServer>{inside}</system.webServer></configuration>".encode()
    )


def test_the_template_sets_nothing_that_a_site_may_not_set() -> None:
    config = webconfig.parse(render().replace("\n", "\r\n").encode())
    assert set(config.sections) <= set(schema.SECTIONS)
    limits = config.section("security/requestFiltering").children["requestLimits"]
    assert limits.number("maxAllowedContentLength") == 1_000_000
    assert limits.number("maxUrl") == 4096


def test_a_file_with_a_byte_order_mark_is_read() -> None:
    webconfig.parse(b"\xef\xbb\xbf" + render().encode())


def test_an_absent_section_has_the_defaults_of_iis() -> None:
    config = _parse("")
    limits = config.section("security/requestFiltering").children["requestLimits"]
    assert limits.number("maxAllowedContentLength") == 30_000_000
    assert limits.number("maxQueryString") == 2048
    hidden = config.section("security/requestFiltering").children["hiddenSegments"].entries
    assert "web.config" in [entry.text("segment") for entry in hidden]


def test_clear_and_remove_work_on_what_is_inherited() -> None:
    config = _parse(
        "<security><requestFiltering><hiddenSegments><clear /><add segment='x' /></hiddenSegments>"
        "<fileExtensions><remove fileExtension='.CONFIG' /></fileExtensions></requestFiltering></security>"
    )
    section = config.section("security/requestFiltering")
    assert [entry.text("segment") for entry in section.children["hiddenSegments"].entries] == ["x"]
    extensions = {entry.text("fileExtension") for entry in section.children["fileExtensions"].entries}
    assert ".config" not in extensions
    assert ".mdb" in extensions


@pytest.mark.parametrize("section", sorted(schema.LOCKED | schema.APPLICATION_HOST_ONLY))
def test_every_locked_section_is_refused_by_name(section: str) -> None:
    names = section.split("/")
    text = "".join(f"<{name}>" for name in names) + "".join(f"</{name}>" for name in reversed(names))
    with pytest.raises(ConfigError, match=section) as refused:
        webconfig.parse(f"<configuration>{text}</configuration>".encode())
    assert refused.value.hresult == webconfig.LOCK_VIOLATION


def test_the_line_of_the_mistake_is_told() -> None:
    with pytest.raises(ConfigError, match="Unrecognized element 'bogus'") as refused:
        _parse("\n\n<bogus />")
    assert refused.value.line == 3


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<other />",
        b"<?xml version='1.0' encoding='big5'?><configuration />",
        b"<?xml version='1.0' encoding='klingon'?><configuration />",
        b"<configuration><system.webServer /><system.webServer><caching /><caching /></system.webServer>"
        b"</configuration>",
    ],
)
def test_what_is_no_configuration_is_refused(document: bytes) -> None:
    with pytest.raises(ConfigError):
        webconfig.parse(document)


_WORDS = """configuration system.webServer rewrite rules rule match action conditions add clear remove
security requestFiltering requestLimits httpErrors error proxy mimeMap staticContent"""
_NAMES = st.sampled_from(_WORDS.split())
_ATTRIBUTES = st.dictionaries(
    st.sampled_from(["name", "url", "type", "enabled", "pattern", "input", "value", "statusCode", "maxUrl"]),
    st.sampled_from(["", "true", "x", "0", "-1", "Rewrite", "{R:1}", "99999999999"]),
    max_size=3,
)
_ELEMENTS = st.recursive(
    st.tuples(_NAMES, _ATTRIBUTES, st.just(())),
    lambda inner: st.tuples(_NAMES, _ATTRIBUTES, st.lists(inner, max_size=3).map(tuple)),
    max_leaves=12,
)


def _write(element: tuple[str, dict[str, str], tuple[object, ...]]) -> str:
    name, attributes, children = element
    pairs = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f"<{name}{pairs}>" + "".join(_write(child) for child in children) + f"</{name}>"  # type: ignore[arg-type]


@given(st.lists(_ELEMENTS, max_size=4))
def test_any_tree_of_elements_is_a_configuration_or_a_reason(elements: list[object]) -> None:
    with contextlib.suppress(ConfigError):
        _parse("".join(_write(element) for element in elements))  # type: ignore[arg-type]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_configuration_or_a_reason(document: bytes) -> None:
    with contextlib.suppress(ConfigError):
        webconfig.parse(document)
