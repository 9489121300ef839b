"""Whatever a file holds, the commands answer with findings or with one InputError, never with a traceback."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from comfystack import InputError
from comfystack.workflow.check import check
from comfystack.workflow.contract import recorded
from comfystack.workflow.explain import explain
from comfystack.workflow.fix import fix
from comfystack.workflow.reading import read_graph
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CLASSES = [
    *(
        "QwenVLCLIPLoader",
        "TextEncodeQwenImageEdit",
        "QwenVLEmptyLatent",
        "QwenVLImageToLatent",
        "ImageBatch",
    ),
    *("QwenImageSamplerNode", "QwenImageSamplerWithEdit", "CheckpointLoaderSimple", "KSampler", "LoadImage"),
    *("VAEDecode", "SaveImage", "Nothing", "PreviewAny"),
]
FIELDS = [
    *("image", "images", "image1", "image2", "text", "prompt", "clip", "vae", "model", "transformer", "seed"),
    *("positive", "negative", "latent_image", "steps", "model_path", "ckpt_name", "samples", "style_image"),
]
IDS = st.sampled_from(["1", "2", "3", "4"])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
LINKS = st.tuples(st.one_of(IDS, st.integers(0, 5)), st.integers(-1, 4)).map(list)
VALUES = st.recursive(
    st.one_of(SCALARS, LINKS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(IDS, inner)),
)
NODES = st.fixed_dictionaries(
    {
        "class_type": st.sampled_from(CLASSES),
        "inputs": st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6),
    }
)
PAGES = st.fixed_dictionaries(
    {
        "nodes": st.lists(
            st.fixed_dictionaries(
                {
                    "id": st.one_of(IDS, SCALARS),
                    "type": st.one_of(st.sampled_from([*CLASSES, "Reroute"]), SCALARS),
                },
                optional={"inputs": VALUES, "widgets_values": VALUES, "mode": VALUES},
            ),
            max_size=3,
        )
    },
    optional={"links": VALUES, "definitions": VALUES},
)


def through_everything(graph: dict[str, dict[str, Any]]) -> None:
    contract = recorded()
    explain(graph, contract, check(graph, contract, {"vae": frozenset({"a.safetensors"})}))
    try:
        fixed = fix(graph, contract)
    except InputError:
        return
    check(fixed.graph, contract)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(IDS, NODES, min_size=1))
def test_any_graph_is_answered(graph: dict[str, dict[str, Any]]) -> None:
    through_everything(graph)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    report_multiple_bugs=False,
)
@given(st.one_of(VALUES, PAGES, st.dictionaries(IDS, st.one_of(VALUES, NODES))))
def test_any_file_is_read_or_refused(tmp_path: Path, document: object) -> None:
    path = tmp_path / "workflow.json"
    path.write_text(json.dumps(document))
    try:
        graph = read_graph(path)
    except InputError:
        return
    through_everything(graph)


def test_a_reader_that_refuses_nothing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "read_graph", lambda path: json.loads(path.read_text()))
    with pytest.raises((AttributeError, LookupError, StopIteration, TypeError, ValueError)):
        test_any_file_is_read_or_refused(tmp_path)
