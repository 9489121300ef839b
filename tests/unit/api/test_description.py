"""Whatever the service's own OpenAPI description allows, and much that it does not, ends with an answer it names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.server import free_port

from .conftest import Service, running

METHODS = ("get", "post", "put", "delete", "patch")
# Of any field, whatever its type says: what JSON can carry, lone halves of surrogate pairs included.
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Without ComfyUI: what passes every check ends with its 503."""
    limits = {"requests_per_minute": 100_000, "guesses_per_minute": 100_000}
    with running(tmp_path_factory.mktemp("service"), f"http://127.0.0.1:{free_port()}", **limits) as started:
        yield started


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of a field, most of them as its schema has them."""
    kind = schema.get("type")
    if "enum" in schema:
        right: st.SearchStrategy[Any] = st.sampled_from(schema["enum"])
    elif kind == "integer":
        right = st.integers(schema.get("minimum"), schema.get("maximum"))
    elif kind == "number":
        right = st.floats(schema.get("minimum"), schema.get("maximum"))
    else:
        right = st.text(max_size=50)
    return right | ANYTHING


def resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    found = document
    for name in schema.get("$ref", "").split("/")[1:]:
        found = found[name]
    return found if "$ref" in schema else schema


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_request_ends_with_an_error_of_ours(service: Service, data: st.DataObject) -> None:
    document = service.ask("GET", "/v1/openapi.json", "operator").json()
    path = data.draw(st.sampled_from(sorted(document["paths"])), "path")
    method = data.draw(st.sampled_from([*sorted(document["paths"][path]), *METHODS]), "method")
    operation = document["paths"][path].get(method, {})
    target = path.replace("{name}", quote(data.draw(st.text(max_size=20), "name"), safe=""))
    body, headers = None, {}
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        properties = resolved(content["schema"], document)["properties"]
        fields = data.draw(
            st.fixed_dictionaries({}, optional={name: values(one) for name, one in properties.items()}), kind
        )
        fields |= data.draw(st.dictionaries(st.text(max_size=10), ANYTHING, max_size=2), "more fields")
        raw = data.draw(st.just(None) | st.binary(max_size=200), "raw body")
        body = json.dumps(fields).encode() if raw is None else raw
        headers["Content_Type"] = data.draw(
            st.sampled_from([kind, f"{kind}; boundary=b", "text/plain"]), "type"
        )
    who = data.draw(st.sampled_from(["operator", "operator", "ann", None, "0" * 64]), "who")
    answer = service.ask(method.upper(), target, who, body, **headers)
    assert answer.status != 500, answer.text
    if answer.status >= 400:
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
