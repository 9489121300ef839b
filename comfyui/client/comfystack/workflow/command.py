"""`comfystack workflow`: list, show, run, validate, explain, fix."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import graphs, output, parameters
from ..errors import ExecutionError, InputError, NodeProblem, ValidationError
from ..events import Graph, ImageRef
from ..images import png_size, read_image
from ..telling import add_json, tell
from .check import Finding, Models, check
from .contract import Contract, of_server, recorded
from .explain import explain
from .fix import fix
from .reading import locked_names, read_graph

if TYPE_CHECKING:
    from ..client import ComfyClient

LOCK = "COMFYSTACK_MODELS_LOCK"

Connect = Callable[[argparse.Namespace], "ComfyClient"]
AddService = Callable[[argparse.ArgumentParser], None]


def add_to(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], connect: Connect, add_service: AddService
) -> None:
    """The command `workflow`; `connect` makes the client of parsed arguments, `add_service` adds its flags."""
    parser = commands.add_parser("workflow", help="run a shipped workflow; check or mend one of your own")
    actions = parser.add_subparsers(dest="workflow_command", required=True)

    listed = actions.add_parser("list", help="the shipped workflows")
    listed.set_defaults(action=_list)
    add_json(listed)

    show = actions.add_parser("show", help="what a shipped workflow takes")
    show.add_argument("name", metavar="NAME")
    add_json(show)
    show.set_defaults(action=_show)

    run = actions.add_parser("run", help="run a shipped workflow")
    run.add_argument("name", metavar="NAME")
    run.add_argument("--prompt", metavar="TEXT", help="the same as --set prompt=TEXT")
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PARAMETER=VALUE",
        dest="values",
        help="may be given again; for an image, the value is a file",
    )
    run.add_argument("--out", required=True, metavar="FILE", type=Path, help="PNG to write")
    run.add_argument("--quiet", action="store_true", help="no progress")
    add_json(run)
    add_service(run)
    run.set_defaults(action=lambda args: _run(args, connect))

    for name, action, text in (
        ("validate", _validate, "say what is wrong with a workflow, node by node"),
        ("explain", _explain, "say what each node of a workflow does, and what is wrong with it"),
        ("fix", _fix, "rewrite a workflow of the old notebooks into native nodes"),
    ):
        one = actions.add_parser(name, help=text, description=text)
        one.add_argument("file", metavar="FILE", type=Path, help="a workflow in API format")
        one.add_argument(
            "--server",
            metavar="URL",
            help="hold it against the ComfyUI there, its models and files; else against the recorded one",
        )
        one.add_argument(
            "--lock",
            type=Path,
            default=os.environ.get(LOCK),
            metavar="FILE",
            help=f"models lock to hold file names against [{LOCK}]; in a checkout, its own",
        )
        if name == "fix":
            one.add_argument("--out", metavar="FILE", type=Path, help="file to write; else it is printed")
        add_json(one)
        add_service(one)
        one.set_defaults(action=lambda args, action=action: action(args, connect))


def _list(args: argparse.Namespace) -> None:
    schemas = {name: parameters.schema(name) for name in graphs.names()}
    lines = [
        f"{name:24} {schema.title} (models: {' or '.join(schema.model_sets)})"
        for name, schema in schemas.items()
    ]
    rows = [
        {"name": name, "title": schema.title, "model_sets": schema.model_sets}
        for name, schema in schemas.items()
    ]
    tell(args, "\n".join(lines), {"workflows": rows})


def _show(args: argparse.Namespace) -> None:
    schema, graph = parameters.schema(args.name), graphs.load(args.name)
    lines = [f"{args.name}: {schema.title}", f"model set: {' or '.join(schema.model_sets)}"]
    for name, one in schema.parameters.items():
        without = one.required or one.added
        note = (
            "required" if one.required else "" if without else f"default {parameters.default(graph, one)!r}"
        )
        lines.append(f"  {name:10} {one.told()}{', ' + note if note else ''}")
    known = {
        name: {
            **asdict(one),
            "default": None if one.required or one.added else parameters.default(graph, one),
        }
        for name, one in schema.parameters.items()
    }
    tell(
        args,
        "\n".join(lines),
        {"name": args.name, "title": schema.title, "model_sets": schema.model_sets, "parameters": known},
    )


def _run(args: argparse.Namespace, connect: Connect) -> None:
    values: dict[str, object] = {} if args.prompt is None else {"prompt": args.prompt}
    for pair in args.values:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"--set {pair}", "PARAMETER=VALUE", "correct it")
        values[name] = value
    known = parameters.schema(args.name).parameters
    files = {
        name: Path(str(value))
        for name, value in values.items()
        if name in known and known[name].type == "image"
    }
    for file in files.values():
        read_image(file)
    output.check_target(args.out)
    # Everything that can be known here is checked before anything is sent.
    parameters.fill(args.name, values | {name: ImageRef(str(file)) for name, file in files.items()})
    from ..progress import ProgressDisplay  # only here: rich takes a while to load

    with connect(args) as client, ProgressDisplay(sys.stderr, args.quiet) as display:
        uploaded = {name: client.upload_image(file) for name, file in files.items()}
        result = client.run(parameters.fill(args.name, values | uploaded), display.show)
        if not result.images:
            raise ExecutionError(
                "the job ended without an image", "an image from the SaveImage node", "run it again"
            )
        content = client.view(result.images[0])
    width, height = png_size(content)
    output.write_atomically(args.out, content)
    tell(args, f"{args.out}: {width}x{height}", {"file": str(args.out), "width": width, "height": height})


def _contract(args: argparse.Namespace, connect: Connect) -> Contract:
    if not args.server:
        return recorded()
    args.url = args.server
    with connect(args) as client:
        return of_server(client.object_info(), args.server)


def _models(args: argparse.Namespace) -> Models | None:
    """The names of the models lock by folder; None where no lock is named and none stands in the checkout."""
    checkout = Path(__file__).parents[3] / "models.lock.yml"
    if args.lock is None and not checkout.is_file():
        return None
    return locked_names(Path(args.lock) if args.lock else checkout)


def _checked(args: argparse.Namespace, graph: Graph, contract: Contract) -> list[Finding]:
    return check(graph, contract, None if args.server else _models(args))


def _refuse(what: str, findings: list[Finding], next_step: str) -> ValidationError:
    number = f"{len(findings)} finding{'s' if len(findings) > 1 else ''}"
    problems = [NodeProblem(one.node, one.class_type, one.field, one.kind, one.found) for one in findings]
    return ValidationError(f"{what} has {number}", "a workflow that ComfyUI takes", next_step, problems)


def _validate(args: argparse.Namespace, connect: Connect) -> None:
    graph = read_graph(args.file)
    contract = _contract(args, connect)
    findings = _checked(args, graph, contract)
    if findings:
        if not args.json:
            print(*findings, sep="\n")
        raise _refuse(
            str(args.file), findings, f"`comfystack workflow fix {args.file}` mends what can be translated"
        )
    text = f"{args.file}: {len(graph)} nodes, valid for {contract.source}"
    tell(args, text, {"file": str(args.file), "nodes": len(graph), "valid_for": contract.source})


def _explain(args: argparse.Namespace, connect: Connect) -> None:
    graph = read_graph(args.file)
    contract = _contract(args, connect)
    findings = _checked(args, graph, contract)
    lines = explain(graph, contract, findings)
    tell(args, "\n".join(lines), {"lines": lines, "findings": [asdict(one) for one in findings]})


def _fix(args: argparse.Namespace, connect: Connect) -> None:
    graph = read_graph(args.file)
    if args.out:
        output.check_target(args.out)
    contract = _contract(args, connect)
    fixed = fix(graph, contract)
    findings = _checked(args, fixed.graph, contract)
    for line in [*fixed.changes, *map(str, findings)]:
        print(line, file=sys.stderr)
    if findings:
        raise _refuse(f"{args.file} as translated", findings, "correct what is named above, then run again")
    text = _text(fixed.graph)
    if args.out:
        output.write_atomically(args.out, text.encode())
        text = (
            f"{args.out}: {len(fixed.graph)} nodes, {len(fixed.changes)} changes, valid for {contract.source}"
        )
    tell(args, text.rstrip(), {"graph": fixed.graph, "changes": list(fixed.changes)})


def _text(graph: Any) -> str:
    return json.dumps(graph, indent=2, ensure_ascii=False) + "\n"
