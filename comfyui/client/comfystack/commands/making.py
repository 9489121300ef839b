"""`comfystack edit` and `comfystack generate`: one picture, from pictures or from a sentence."""

from __future__ import annotations

import argparse
import re
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .. import graphs, output, parameters
from ..client import ComfyClient
from ..errors import ExecutionError, InputError
from ..events import Graph, ImageRef, Progress
from ..images import png_size, read_image
from ..progress import ProgressDisplay
from ..telling import add_json, tell
from . import service

GENERATING = ("text-to-image", "text-to-image-lightning")
Commands = argparse._SubParsersAction  # argparse names no public type for it


def add_to(commands: Commands[argparse.ArgumentParser], epilog: str) -> None:
    """The commands `edit` and `generate`."""
    edit = _command(
        commands,
        "edit",
        "change one image by a sentence, with up to two more as references",
        'Change an image by a sentence; several are "image 1", "image 2" in it.',
        epilog,
    )
    edit.set_defaults(action=_edit)
    edit.add_argument("images", nargs="+", metavar="IMAGE", type=Path, help="1 to 3 image files")
    _arguments(edit, "what to change", graphs.EDITS)

    generate = _command(
        commands,
        "generate",
        "make a picture from a sentence",
        "Make a picture from a sentence.",
        epilog,
    )
    generate.set_defaults(action=_generate)
    _arguments(generate, "what to show", GENERATING)
    generate.add_argument("--size", metavar="WIDTHxHEIGHT", help="in pixels, multiples of 16")
    generate.add_argument("--negative", metavar="TEXT", help="what to avoid")
    generate.add_argument("--cfg", metavar="X", help="how closely to follow the prompt")


def _command(
    commands: Commands[argparse.ArgumentParser], name: str, text: str, description: str, epilog: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=text,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _arguments(parser: argparse.ArgumentParser, prompt: str, workflows: tuple[str, ...]) -> None:
    parser.add_argument("--prompt", required=True, metavar="TEXT", help=prompt)
    parser.add_argument(
        "--out", required=True, metavar="FILE", type=Path, help="PNG to write (replaced if it is there)"
    )
    parser.add_argument(
        "--workflow", choices=workflows, default=workflows[0], help=f"default: {workflows[0]}"
    )
    parser.add_argument(
        "--seed", type=service.number(int, 0, service.MAX_SEED), metavar="N", help="default: drawn"
    )
    parser.add_argument(
        "--steps",
        type=service.number(int, 1, service.MAX_STEPS),
        metavar="N",
        help="default: the workflow's own",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_json(parser)
    service.add_arguments(parser)


def picture(
    client: ComfyClient,
    graph: Graph,
    show: Callable[[Progress], None] | None = None,
    prompt_id: str | None = None,
) -> bytes:
    """The first image of a workflow, run once; an ended job without one is an error."""
    result = client.run(graph, show, prompt_id=prompt_id)
    if not result.images:
        raise ExecutionError(
            "the job ended without an image",
            "an image from the workflow's SaveImage node",
            "run it again",
        )
    return client.view(result.images[0])


def drawn_seed() -> int:
    """A seed nobody chose."""
    return secrets.randbelow(service.DRAWN_SEEDS)


def _prepare(args: argparse.Namespace, what: str) -> int:
    """Checks what can be known before anything is sent; the seed."""
    if not args.prompt.strip():
        raise InputError("the prompt is empty", f"a sentence that says {what}", "give --prompt TEXT")
    output.check_target(args.out)
    if args.out.suffix.lower() != ".png":
        service.warn(f"{args.out} will hold a PNG whatever its name says")
    return drawn_seed() if args.seed is None else args.seed


def _run(args: argparse.Namespace, graph_of: Callable[[ComfyClient], Graph], seed: int) -> None:
    with service.connect(args) as client, ProgressDisplay(sys.stderr, args.quiet) as display:
        graph = graph_of(client)
        content = picture(client, graph, display.show)
    width, height = png_size(content)
    output.write_atomically(args.out, content)
    steps = graph["sampler"]["inputs"]["steps"]
    made: Mapping[str, Any] = {
        "file": str(args.out),
        "width": width,
        "height": height,
        "seed": seed,
        "steps": steps,
    }
    tell(args, f"{args.out}: {width}x{height}, seed {seed}, {steps} steps", made)


def _edit(args: argparse.Namespace) -> None:
    if len(args.images) > graphs.MAX_IMAGES:
        raise InputError(
            f"{len(args.images)} images are given", f"1 to {graphs.MAX_IMAGES}", "leave some of them out"
        )
    for image in args.images:
        read_image(image)
    seed = _prepare(args, "what to change")

    def graph_of(client: ComfyClient) -> Graph:
        uploaded: list[ImageRef] = [client.upload_image(image) for image in args.images]
        return graphs.edit(args.workflow, uploaded, args.prompt, seed, args.steps)

    _run(args, graph_of, seed)


def _generate(args: argparse.Namespace) -> None:
    seed = _prepare(args, "what to show")
    values: dict[str, object] = {"prompt": args.prompt, "seed": seed}
    values |= {
        name: value for name in ("negative", "cfg", "steps") if (value := getattr(args, name)) is not None
    }
    if args.size is not None:
        values["width"], values["height"] = read_size(args.size)
    graph = parameters.fill(args.workflow, values)
    _run(args, lambda _client: graph, seed)


def read_size(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT."""
    match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text)
    if match is None:
        raise InputError(f"the size {text!r}", "WIDTHxHEIGHT, for example 1024x768", "correct --size")
    return int(match[1]), int(match[2])
