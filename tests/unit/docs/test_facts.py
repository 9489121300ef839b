"""What the guides state as fact is what the code does: messages, limits, exit codes, defaults, figures."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest
import yaml
from comfystack import ImageRef, cli, errors, graphs, parameters
from comfystack_api import gate

from tests.lab import base_image, ports, site

from . import pages
from .pages import ROLES, ROOT

DOCS = ROOT / "docs"
TROUBLE = DOCS / "troubleshooting.md"
API = DOCS / "api-reference.md"
GUIDE = DOCS / "workflows-guide.md"
# Where the messages that an operator sees are made.
SPEAKERS = (
    "Makefile",
    "ansible/install-tools",
    "ansible/*.py",
    "ansible/**/*.yml",
    "ansible/plugins/**/*.py",
    "comfyui/client/comfystack/**/*.py",
    "comfyui/api/comfystack_api/*.py",
    "comfyui/image/*.py",
    "comfyui/image/Dockerfile.j2",
    "roles/edge_proxy/templates/*.j2",
    "iis/powershell/*.ps1",
    "inventories/lab/*.py",
    "roles/*/tasks/**/*.yml",
    "roles/*/files/*.ps1",
    "tests/infra/*.py",
    "tests/lab/*.py",
    "tests/lab/gpu/*.py",
    "tests/lab/windows_host/winsim/modules/*.py",
)


@cache
def spoken() -> tuple[str, ...]:
    """The text of every file with messages, each on one line and without Python's seams between literals."""
    files = [path for pattern in SPEAKERS for path in sorted(ROOT.glob(pattern))]
    return tuple(re.sub(r'"\s+f?"', "", " ".join(path.read_text().split())) for path in files)


def is_said(message: str) -> bool:
    """Whether one file has every piece of a message, `…` standing for what is filled in."""
    pieces = [piece.strip() for piece in message.split("…") if piece.strip(" ()';:,.")]
    return any(all(piece in text for piece in pieces) for text in spoken())


def messages() -> list[str]:
    rows = [row for table in pages.tables(TROUBLE) if table[0][0] == "message" for row in table[1:]]
    return [span for row in rows for span in pages.spans(row[0])]


@pytest.mark.parametrize("message", messages())
def test_every_message_of_the_troubleshooting_page_is_one_that_can_be_seen(message: str) -> None:
    assert is_said(message), f"nothing says {message!r} any more"


def test_a_message_that_nothing_says_is_found() -> None:
    assert is_said("found: no working SSH connection to …")
    assert not is_said("found: no working telephone connection to …")
    assert not is_said("found: no working SSH connection to … on a Tuesday")


def test_the_exit_codes_are_those_of_the_client() -> None:
    rows = {int(row[0]): row[1] for row in pages.table(API, "exit code", "meaning")}
    raised = {
        error.exit_code
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.ComfyError)
    }
    assert set(rows) == raised | {0, cli.INTERRUPTED}
    # The page says no less than the help text, whose lines may go on with examples.
    told = re.findall(r"^ +(\d+)  (.*)$", cli._EXIT_CODES, re.MULTILINE)
    assert len(told) == len(rows)
    for code, meaning in told:
        assert meaning.replace("`", "").startswith(re.sub(r"`| \(.*", "", rows[int(code)])), (code, meaning)


def test_the_codes_on_the_troubleshooting_page_are_exit_codes_too() -> None:
    known = {row[0] for row in pages.table(API, "exit code", "meaning")}
    tables = [rows for rows in pages.tables(TROUBLE) if rows[0] == ["message", "code", "cause and cure"]]
    assert tables
    for row in (row for rows in tables for row in rows[1:]):
        assert row[1] in known | {"none"}, row


def specs() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for role in ROLES:
        options = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())
        found |= options["argument_specs"]["main"]["options"]
    return found


def test_the_limits_are_the_defaults_of_the_roles() -> None:
    known = specs()

    def default(option: str) -> object:
        value = known[option]["default"]
        source = re.fullmatch(r"{{ (\w+) }}", str(value))
        return default(source[1]) if source else value

    rows = [row for row in pages.table(API, "limit", "value", "set by") if pages.spans(row[2])]
    assert rows
    for row in rows:
        for option in pages.spans(row[2]):
            assert str(default(option)) == row[1].split()[0], row


def test_the_errors_of_the_edge_and_of_the_service_api_are_those_of_their_code() -> None:
    template = (ROOT / "roles" / "edge_proxy" / "templates" / "nginx.conf.j2").read_text()
    answered = set(re.findall(r'return (\d+) \'{"error": {"type": "(\w+)"', template))
    code = "\n".join(path.read_text() for path in ROOT.glob("comfyui/api/comfystack_api/*.py"))
    rows = pages.table(API, "status", "from", "body", "meaning")
    told = {
        (row[0], kind, place)
        for row in rows
        for kind in re.findall(r'"type": "(\w+)"', row[2])
        for place in row[1].split(", ")
    }
    assert {(status, kind) for status, kind, place in told if place == "edge"} == answered
    of_api = {(status, kind) for status, kind, place in told if place == "api"}
    assert of_api
    assert not [kind for status, kind in of_api if f'"{kind}"' not in code or status not in code]


def test_the_reasons_of_the_audit_log_are_those_of_the_gate() -> None:
    rows = pages.table(DOCS / "sign-in.md", "reason", "status", "meaning")
    told = {reason: row[1] for row in rows for reason in pages.spans(row[0])}
    assert set(told) == set(gate.STATUS)
    assert not [
        reason for reason, status in gate.STATUS.items() if reason != "ok" and str(status) not in told[reason]
    ]


def test_every_route_is_one_that_the_service_has() -> None:
    served = "\n".join(path.read_text() for path in ROOT.glob("tests/lab/comfyui/comfysim/*_routes.py"))
    for row in pages.table(API, "request", "answer"):
        for span in [span for span in pages.spans(row[0]) if re.match("(GET|POST) ", span)]:
            path = span.split()[1].split("?")[0]
            fixed = re.sub(r"/(ID|CLASS)$", "/{", path)
            assert f'routes.{span.split()[0].lower()}("{fixed}' in served, span


def test_the_error_types_are_those_that_the_node_contract_gives() -> None:
    recorded = "\n".join(
        path.read_text() for path in (ROOT / "tests" / "contract" / "samples").glob("*.json")
    )
    simulated = "\n".join(path.read_text() for path in ROOT.glob("tests/lab/comfyui/comfysim/*.py"))
    rows = pages.table(API, "error type", "meaning") + pages.table(API, "message", "meaning")
    for kind in [span for row in rows for span in pages.spans(row[0])]:
        assert f'"{kind}"' in recorded or f'"{kind}"' in simulated, kind


def test_the_workflows_have_the_steps_the_guidance_and_the_models_of_the_guide() -> None:
    rows = pages.table(GUIDE, "workflow", "what it does", "images", "steps", "CFG", "model set")
    assert {pages.spans(row[0])[0] for row in rows} == set(graphs.names())
    for row in rows:
        name = pages.spans(row[0])[0]
        schema, sampler = parameters.schema(name), graphs.load(name)["sampler"]["inputs"]
        assert (str(sampler["steps"]), str(sampler["cfg"])) == (row[3], row[4]), name
        assert pages.spans(row[5]) == [schema.model_sets[0]], name
        images = [one for one in schema.parameters.values() if one.type == "image"]
        least, most = sum(one.required for one in images), len(images)
        assert row[2] == (f"{least} to {most}" if least < most else str(most)), name
    chosen = specs()["comfyui_service_model_set"]["default"]
    assert f"`{chosen}`, the set that a deployment expects by default" in GUIDE.read_text()
    edits = {name for name in graphs.names() if chosen in parameters.schema(name).model_sets}
    assert edits == {
        name for name in graphs.names() if "CFGNorm" in {n["class_type"] for n in graphs.load(name).values()}
    }


@pytest.mark.parametrize("name", graphs.names())
def test_the_page_of_a_workflow_has_its_parameters_and_its_models(name: str) -> None:
    page = DOCS / "workflows" / f"{name}.md"
    schema, graph = parameters.schema(name), graphs.load(name)
    rows = {
        pages.spans(row[0])[0]: row for row in pages.table(page, "parameter", "takes", "default", "meaning")
    }
    assert list(rows) == list(schema.parameters)
    for key, one in schema.parameters.items():
        known = "required" if one.required else "none" if one.added else parameters.default(graph, one)
        assert rows[key][1:3] == [one.told(), str(known) or "empty"], key
    assert f"**Model set**: {' or '.join(f'`{chosen}`' for chosen in schema.model_sets)}" in page.read_text()
    assert all(row[2] for row in pages.table(page, "need", "figure", "source"))


def test_the_node_ids_of_the_guide_are_in_both_graphs() -> None:
    rows = pages.table(GUIDE, "what", "node and input", "in `comfystack edit`")
    named = [span.split(".") for row in rows for span in pages.spans(row[1])]
    for workflow in graphs.EDITS:
        one = graphs.load(workflow)
        three = graphs.edit(workflow, [ImageRef(f"{n}.png") for n in "abc"], "x")
        for node, *field in named:
            assert node in three, node
            assert (
                not field or field[0] in (three if node[-1] in "23" else {**one, **three})[node]["inputs"]
            ), node


def test_the_labs_settings_and_parts_are_those_of_its_code() -> None:
    page = DOCS / "lab.md"
    assert {row[0].strip("`") for row in pages.table(page, "container", "what it is")} == set(site.PARTS)
    rows = dict(pages.table(page, "variable", "meaning"))
    (port_row,) = [cell for cell in rows if "LAB_HTTPS_PORT" in cell]
    assert pages.spans(port_row) == [f"LAB_{service.upper()}_PORT" for service in ports.PREFERRED]
    *first, last = map(str, ports.PREFERRED.values())
    assert f"{', '.join(first)} and {last} are taken" in rows[port_row]
    assert str(base_image.EXTRA_CA_FOLDER) in page.read_text()
