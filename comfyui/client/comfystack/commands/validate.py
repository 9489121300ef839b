"""`comfystack validate`: whether the service can run what is shipped, and whether a picture really comes out."""

from __future__ import annotations

import argparse
import sys

from .. import graphs, parameters, pictures
from ..client import ComfyClient
from ..errors import ComfyError
from ..events import Graph, ImageRef
from ..progress import ProgressDisplay
from ..telling import add_json, tell
from ..workflow.check import check
from ..workflow.contract import of_server
from . import service
from .making import Commands, drawn_seed, picture


def add_to(commands: Commands[argparse.ArgumentParser]) -> None:
    """The command `validate`."""
    text = "hold every shipped workflow against the service, and make one edit"
    validate = commands.add_parser("validate", help=text, description=text.capitalize())
    validate.set_defaults(action=_validate)
    validate.add_argument("--no-edit", action="store_true", help="only look, run nothing")
    validate.add_argument("--quiet", action="store_true", help="no progress")
    add_json(validate)
    service.add_arguments(validate)


def runnable(client: ComfyClient) -> dict[str, list[str]]:
    """Shipped workflow -> what hinders this server from running it (node classes, model files); [] is well."""
    contract = of_server(client.object_info(), "this server")
    found = {}
    for name in graphs.names():
        graph = graphs.load(name)
        # Which pictures stand in the server's input folder is each job's own matter.
        images = {node for node, one in graph.items() if one["class_type"] in ("LoadImage", "LoadImageMask")}
        found[name] = [str(one) for one in check(graph, contract, None) if one.node not in images]
    return found


def _editing(well: list[str]) -> str:
    for name in reversed(graphs.EDITS):  # The quick one, where there is one.
        if name in well:
            return name
    raise ComfyError(
        "the service can run none of " + ", ".join(graphs.EDITS),
        "the models of one of them",
        "the findings name what is missing",
    )


def edited(client: ComfyClient, name: str, display: ProgressDisplay) -> str:
    """Makes one edit of a drawn picture and looks at it; what was seen."""
    image: ImageRef = client.upload_image(pictures.drawn())
    graph: Graph = graphs.edit(name, [image], "make it blue", drawn_seed())
    seen = pictures.opened(picture(client, graph, display.show))
    if pictures.is_blank(seen):
        raise ComfyError(
            f"the edit came out in one colour, {seen.width}x{seen.height}",
            "a picture with something in it",
            "the server's log tells of NaN or a wrong model; the operator runs `make verify`",
        )
    return f"{name}: {seen.width}x{seen.height}"


def _validate(args: argparse.Namespace) -> None:
    if not args.no_edit:
        pictures.needed()
    with service.connect(args) as client, ProgressDisplay(sys.stderr, args.quiet or args.json) as display:
        found = runnable(client)
        well = [name for name, findings in found.items() if not findings]
        edit = None if args.no_edit else edited(client, _editing(well), display)
    lines = []
    for name, findings in found.items():
        sets = " or ".join(parameters.schema(name).model_sets)
        lines.append(f"{'ok  ' if not findings else 'not '} {name}" + ("" if not findings else f" ({sets})"))
        lines += [f"       {finding}" for finding in findings]
    if edit:
        lines.append(f"edit {edit}")
    tell(args, "\n".join(lines), {"workflows": found, "edit": edit})
