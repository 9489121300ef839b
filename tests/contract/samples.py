"""What a real ComfyUI 0.33.0 was asked and what it answered, and how to compare another answer.

Compared modulo what differs from run to run: ids, times, job numbers, tracebacks, the tree's place, sizes
of this machine. Lists whose order a real server leaves to chance are compared as sets.
"""

from __future__ import annotations

import copy
import io
import json
import re
from pathlib import Path
from typing import Any

from PIL import Image

from tests.contract.server import Answer, Server

FOLDER = Path(__file__).parent / "samples"

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TREE = re.compile(r"(<comfyui>|/[^\s'\"]*?)(?=/(models|input|output|custom_nodes|datasets|temp)(/|$))")
_VARYING_KEYS = frozenset(
    {
        "timestamp",
        "create_time",
        "execution_start_time",
        "execution_end_time",
        "number",
        "priority",
        "total",
        "traceback",
        "sid",
        "client_id",
        "exception_traceback",
    }
)
# Texts for people; the recorded answers were kept without them.
_DROPPED_KEYS = frozenset({"tooltip", "output_tooltips", "description"})
_UNORDERED_KEYS = frozenset({"executed", "current_outputs", "cycle_nodes"})
_MACHINE_KEYS = frozenset(
    {
        "ram_total",
        "ram_free",
        "vram_total",
        "vram_free",
        "torch_vram_total",
        "torch_vram_free",
        "python_version",
        "pytorch_version",
        "argv",
    }
)


def names(*patterns: str) -> list[str]:
    """The samples whose names match any of the patterns."""
    return sorted({path.stem for pattern in patterns for path in FOLDER.glob(f"{pattern}.json")})


def load(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def body(name: str) -> Any:
    """The recorded answer's body."""
    return load(name)["response"]["body"]


def graph(name: str) -> dict[str, Any]:
    """The graph of a recorded POST /prompt."""
    return dict(load(name)["request"]["json"]["prompt"])


def replay(server: Server, name: str) -> Answer:
    """Sends a recorded request again."""
    request = load(name)["request"]
    headers = request.get("headers", {})
    if "form" in request:
        form = {key: _field(server, value) for key, value in request["form"].items()}
        return server.send_form(request["path"], form)
    content: bytes | None = None
    if "json" in request:
        headers = {"Content-Type": "application/json", **headers}
        content = _own_names(server, json.dumps(request["json"])).encode()
    elif "text" in request:
        content = request["text"].encode()
    params = {key: _own_names(server, value) for key, value in request.get("params", {}).items()}
    return server.ask(request["method"], request["path"], content, headers, params)


def assert_same(server: Server, name: str, answer: Answer) -> None:
    """Fails unless status, content type, kept headers and body are the recorded ones."""
    expected = load(name)["response"]
    assert answer.status == expected["status"], f"{name}: {answer.status} {answer.text[:500]}"
    assert answer.headers.get("Content-Type") == expected["content_type"], name
    for header, value in expected.get("headers", {}).items():
        assert answer.headers.get(header) == value, (name, header)
    if re.fullmatch(r"<\d+ bytes>", str(expected["body"])):
        assert answer.content, name
    elif "json" in (expected["content_type"] or ""):
        assert normal(answer.json(), server) == normal(expected["body"]), name
    else:
        assert answer.text == expected["body"], name


def normal(value: Any, server: Server | None = None, key: str = "") -> Any:
    """The value with everything blanked that may differ between two good servers."""
    if key in _VARYING_KEYS:
        return f"<{key}>"
    if key in _MACHINE_KEYS:
        return type(value).__name__
    if isinstance(value, dict):
        value = _without_card(value)
        kept = {name: item for name, item in value.items() if name not in _DROPPED_KEYS}
        return {normal(name, server): normal(item, server, name) for name, item in kept.items()}
    if isinstance(value, list):
        items = [normal(item, server) for item in value]
        if len(items) == 5 and items[1] == "<uuid>":
            items[0] = "<number>"  # a queue item: number, id, graph, extra data, outputs
        return sorted(items, key=str) if key in _UNORDERED_KEYS else items
    if isinstance(value, str):
        if server:
            value = value.replace(f"-{server.token}", "")
        return _TREE.sub("<comfyui>", _UUID.sub("<uuid>", value))
    return value


def _without_card(value: dict[str, Any]) -> dict[str, Any]:
    """A device of /system_stats as the recorded server, which had no card, would tell it; anything else as it is."""
    card = re.fullmatch(r"cuda:(\d+) .+ : (cudaMallocAsync|native)", str(value.get("name")))
    if not card or (value.get("type"), value.get("index")) != ("cuda", int(card[1])):
        return value
    return {**value, "name": "cpu", "type": "cpu", "index": None}


def normal_events(messages: list[dict[str, Any]], server: Server | None = None) -> Any:
    """WebSocket messages likewise; file numbers too, because a server may have served before."""
    blanked = copy.deepcopy(messages)
    for message in blanked:
        for images in message["data"].get("output", {}).values():
            for image in images:
                image["filename"] = "<filename>"
    return normal(blanked, server)


def picture(colour: str = "orange", size: tuple[int, int] = (64, 48)) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", size, colour).save(data, "PNG")
    return data.getvalue()


def _mask() -> bytes:
    data = io.BytesIO()
    Image.new("RGBA", (64, 48), (0, 0, 0, 100)).save(data, "PNG")
    return data.getvalue()


def _field(server: Server, value: Any) -> str | tuple[str, bytes]:
    if isinstance(value, str):
        return _own_names(server, value)
    contents = {
        "picture": picture(),
        "other picture": picture("navy"),
        "mask": _mask(),
        "text": b"no picture",
    }
    return _own_names(server, value["file"]), contents[value["content"]]


def _own_names(server: Server, text: str) -> str:
    """Files this session uploads carry its token, so that an earlier session's are not met."""
    return re.sub(r"\b(probe_in|bad|mask|a)\.png", rf"\1-{server.token}.png", text)
