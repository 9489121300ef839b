"""docs/openai-api.md: its curl lines typed as they stand, its example run, and its tables against the code."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from comfystack_api.images import wishes
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from tests.contract.server import Server
from tests.unit.api.conftest import TOKENS, comfyui, exchanging, running

from . import pages
from .pages import ROOT
from .test_api_walkthrough import _type

__all__ = ["comfyui"]

PAGE = ROOT / "docs" / "openai-api.md"
SERVICE = "https://qwen-image-edit.comfystack.test"
CODE = [*ROOT.glob("comfyui/api/comfystack_api/*.py"), *ROOT.glob("comfyui/api/comfystack_api/images/*.py")]


@pytest.mark.skipif(not shutil.which("curl"), reason="this machine has no curl")
def test_the_curl_lines_bring_back_pictures(tmp_path: Path, comfyui: Server) -> None:
    settings, *steps = pages.blocks(PAGE, "sh")
    assert settings == pages.blocks(ROOT / "docs" / "api-reference.md", "sh")[0]
    here = tmp_path / "checkout"
    (here / "build" / "lab").mkdir(parents=True)
    photograph(here / "photo.jpg")
    configuration = (
        f'silent\nshow-error\nfail-with-body\nheader = "Authorization: Bearer {TOKENS["operator"]}"\n'
    )
    (here / "build" / "lab" / "curl.conf").write_text(configuration)
    with running(tmp_path, comfyui.url, **exchanging(comfyui)) as service:
        blocks = [step.text.replace(f"service={SERVICE}\n", "") for step in steps]
        said = [_type(f"service={service.server.url}\n{text}", here) for text in blocks]
    assert '"id":"text-to-image"' in said[0]
    assert size(here / "lighthouse.png") == (512, 384)
    assert size(here / "winter.png") == (1184, 880)
    ready, _, metrics = said[3].partition("}")
    assert '"ready":true' in ready
    assert list(text_string_to_metric_families(metrics))


def test_the_example_in_python_brings_back_pictures(
    tmp_path: Path, comfyui: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = pages.blocks(PAGE, "python")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token").write_text(TOKENS["ann"] + "\n")
    photograph(tmp_path / "photo.jpg")
    with running(tmp_path, comfyui.url, **exchanging(comfyui)) as service:
        exec(block.text.replace("https://qwen-image-edit.example.org", service.server.url), {})  # noqa: S102
    assert size(tmp_path / "lighthouse.png") == (1024, 768)
    assert size(tmp_path / "winter.png") == (1184, 880)


def photograph(file: Path) -> None:
    Image.radial_gradient("L").convert("RGB").resize((320, 240)).save(file)


def size(file: Path) -> tuple[int, int]:
    with Image.open(file) as picture:
        assert picture.format == "PNG"
        return picture.size


def test_every_error_code_is_explained_and_none_is_invented() -> None:
    code = "\n".join(path.read_text() for path in CODE)
    told = {span for row in pages.table(PAGE, "status", "code", "meaning") for span in pages.spans(row[1])}
    given = set(re.findall(r'(?:Refused\(\s*\d+,|_too_many\(\d+,|code = )\s*"([a-z_]+)"', code))
    given |= set(re.findall(r'"((?:invalid|image_too|missing|unknown|unsupported)_[a-z_]+)"', code))
    given -= {"invalid_request_error", "client_gone"}
    assert told == given | {"invalid_value", "execution_failed", "out_of_memory"}


def test_every_field_of_openais_that_has_no_effect_is_told() -> None:
    told = {span for row in pages.table(PAGE, "field", "meaning") for span in pages.spans(row[0])}
    assert {*wishes._FIELDS, *wishes._WITHOUT_EFFECT} - told == {"output_compression"}


def test_the_limits_are_the_defaults_of_the_role() -> None:
    defaults = (ROOT / "roles" / "api_service" / "defaults" / "main.yml").read_text()
    for _, value, option in pages.table(PAGE, "limit", "default", "set by"):
        assert f"\n{option.strip('`')}: {value}\n" in defaults


def test_the_metrics_are_those_of_the_code() -> None:
    code = (ROOT / "comfyui" / "api" / "comfystack_api" / "metrics.py").read_text()
    rows = pages.table(PAGE, "name", "what")
    told = {span.partition("{")[0].removesuffix("_total") for row in rows for span in pages.spans(row[0])}
    assert told == set(re.findall(r'"(comfystack_\w+)"', code))
