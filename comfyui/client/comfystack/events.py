"""What the service says about one job, over the socket or in its history, as plain values."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Graph = dict[str, dict[str, Any]]
"""A workflow in API format: node id -> {"class_type": ..., "inputs": {...}}."""


@dataclass(frozen=True)
class ImageRef:
    """A file the server holds, as /view and LoadImage know it."""

    filename: str
    subfolder: str = ""
    type: str = "output"

    @property
    def annotated(self) -> str:
        """The value of a LoadImage node's `image` input."""
        return f"{self.subfolder}/{self.filename}" if self.subfolder else self.filename


@dataclass(frozen=True)
class Result:
    """A finished job: every image that each output node wrote, in the server's order."""

    prompt_id: str
    outputs: dict[str, tuple[ImageRef, ...]]

    @property
    def images(self) -> tuple[ImageRef, ...]:
        """The saved images; previews are left out unless there is nothing else."""
        every = [image for images in self.outputs.values() for image in images]
        return tuple([image for image in every if image.type == "output"] or every)


@dataclass(frozen=True)
class Progress:
    """How far a job is. `ahead` counts the jobs before it; `step`/`steps` is the running node's own count."""

    state: Literal["queued", "running", "finished"] = "queued"
    ahead: int | None = None
    node_id: str = ""
    class_type: str = ""
    step: int = 0
    steps: int = 0
    nodes_done: int = 0
    nodes_total: int = 0


@dataclass
class Story:
    """One job as its messages tell it; `ended_by` is the last one ("" while it goes on).

    `outputs` are those that were told, node by node; all of them once `succeeded`, if no message was missed.
    """

    prompt_id: str
    graph: Graph
    progress: Progress = field(init=False)
    ended_by: str = ""
    ending: Mapping[str, Any] = field(default_factory=dict)
    succeeded: bool = False
    outputs: dict[str, Any] = field(default_factory=dict)
    _done: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.progress = Progress(nodes_total=len(self.graph))

    def hear(self, text: str) -> bool:
        """Take in one text message of the socket; True when this job got further by it."""
        try:
            message = json.loads(text)
            kind, data = str(message["type"]), message["data"]
        except (ValueError, KeyError, TypeError):
            return False
        if not isinstance(data, Mapping) or data.get("prompt_id") != self.prompt_id:
            return False
        before = self.progress
        if kind in ("execution_error", "execution_interrupted"):
            self.ended_by, self.ending = kind, data
        elif kind == "executing" and data.get("node") is None:
            # Sent after the history is written, unlike execution_success.
            self.ended_by, self.ending = "executed", data
        elif kind == "execution_success":
            self.succeeded = True
        else:
            self._advance(kind, data)
        return self.progress != before

    def _advance(self, kind: str, data: Mapping[str, Any]) -> None:
        node_id, step, steps = self.progress.node_id, self.progress.step, self.progress.steps
        if kind == "execution_cached":
            self._done.update(str(node) for node in data.get("nodes") or ())
        elif kind == "executed":
            self._done.add(str(data.get("node")))
            output = data.get("output")
            self.outputs[str(data.get("node"))] = output if isinstance(output, Mapping) else {}
        elif kind == "executing":
            if str(data["node"]) != node_id:
                node_id, step, steps = str(data["node"]), 0, 0
        elif kind == "progress_state":
            nodes = data.get("nodes")
            for key, node in nodes.items() if isinstance(nodes, Mapping) else ():
                if node.get("state") == "finished":
                    self._done.add(str(key))
                elif node.get("state") == "running":
                    node_id, step, steps = str(key), int(node.get("value", 0)), int(node.get("max", 0))
        elif kind != "execution_start":
            return
        self.progress = replace(
            self.progress,
            state="running",
            ahead=0,
            node_id=node_id,
            class_type=str(self.graph.get(node_id, {}).get("class_type", "")),
            step=step,
            steps=steps,
            nodes_done=len(self._done & self.graph.keys()),
        )


# The first number of a binary message. The second is the picture's kind, or the length of a JSON head before it.
_PREVIEW, _PREVIEW_WITH_HEAD = 1, 4


def preview_of(message: bytes) -> bytes:
    """The half-made picture in a binary message of the socket; b"" in one of another kind."""
    if len(message) < 8:
        return b""
    kind, second = struct.unpack(">II", message[:8])
    if kind == _PREVIEW:
        return message[8:]
    return message[8 + second :] if kind == _PREVIEW_WITH_HEAD else b""


def result_of(prompt_id: str, entry: Mapping[str, Any]) -> Result:
    """The images in a history entry."""
    outputs: dict[str, tuple[ImageRef, ...]] = {}
    recorded = entry.get("outputs")
    for node_id, output in recorded.items() if isinstance(recorded, Mapping) else ():
        images = tuple(
            ImageRef(
                str(image["filename"]), str(image.get("subfolder", "")), str(image.get("type", "output"))
            )
            for image in output.get("images") or ()
            if "filename" in image
        )
        if images:
            outputs[str(node_id)] = images
    return Result(prompt_id, outputs)
