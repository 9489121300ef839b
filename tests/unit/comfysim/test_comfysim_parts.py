"""Parts of the simulator that have rules of their own."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.lab.comfyui.comfysim import options, pictures, weights_file
from tests.lab.comfyui.comfysim.executor import NODE_FUNCTIONS
from tests.lab.comfyui.comfysim.extra_paths import ExtraPathsError, read_extra_paths
from tests.lab.comfyui.comfysim.folders import Folders, lay_out
from tests.lab.comfyui.comfysim.guard import forbids
from tests.lab.comfyui.comfysim.node_contract import NodeContract
from tests.lab.comfyui.comfysim.result_cache import keys_of
from tests.lab.comfyui.comfysim.scaling import KONTEXT_SIZES, kontext_size, scale
from tests.lab.comfyui.comfysim.schedule import Schedule
from tests.lab.comfyui.comfysim.validation import types_match, validate
from tests.lab.comfyui.comfysim.values import Images

TREE = Path(__file__).parents[2] / "lab" / "comfyui"
EMPTY = (2).to_bytes(8, "little") + b"{}"


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    laid = lay_out(options.parse(["--base-directory", str(tmp_path)]), TREE)
    laid.input.mkdir()
    return laid


@pytest.fixture
def contract(folders: Folders) -> NodeContract:
    loaded = NodeContract(folders)
    loaded.load_core()
    for pack in (TREE / "packs").iterdir():
        loaded.load_pack(json.loads((pack / "simulated_nodes.json").read_text()))
    return loaded


def test_every_list_of_files_is_filled_from_a_folder(contract: NodeContract) -> None:
    """An empty list without a source would refuse every value for ever."""
    # The front end fills this one's list itself; the real server sends it empty as well.
    empty = {"CustomCombo.choice"}
    for name in contract.classes:
        for field, (_, kind, more) in contract.inputs(name).items():
            is_empty_list = kind == [] or (kind == "COMBO" and more.get("options") == [])
            if is_empty_list and f"{name}.{field}" not in empty:
                assert f"{name}.{field}" in contract.lists


def test_every_list_source_names_a_real_input_and_folder(contract: NodeContract) -> None:
    for place, source in contract.lists.items():
        name, field = place.split(".")
        assert field in contract.inputs(name)
        assert all(kind in contract.folders.by_type for kind in source.get("folders", []))


def test_every_implementation_takes_what_its_class_may_be_given(contract: NodeContract) -> None:
    for name, function in NODE_FUNCTIONS.items():
        parameters = inspect.signature(function).parameters
        required = {key for key, value in parameters.items() if value.default is value.empty and key != "run"}
        inputs = contract.inputs(name)
        assert set(inputs) <= set(parameters), name
        assert required <= {field for field, (kind, *_) in inputs.items() if kind == "required"}, name


def test_the_contract_stays_small_enough_to_ship() -> None:
    assert (TREE / "comfysim/data/node_contract.json").stat().st_size < 200_000


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_kontext_scaling_chooses_the_nearest_shape(width: int, height: int) -> None:
    chosen = kontext_size(width, height)
    distance = abs(width / height - chosen[0] / chosen[1])
    assert all(distance <= abs(width / height - w / h) for w, h in KONTEXT_SIZES)


@pytest.mark.parametrize(
    ("size", "expected"), [((64, 48), (1184, 880)), ((512, 512), (1024, 1024)), ((1080, 1920), (752, 1392))]
)
def test_kontext_sizes_that_were_seen(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert kontext_size(*size) == expected


def test_a_centred_crop_keeps_the_middle() -> None:
    picture = Image.new("RGB", (200, 100), "red")
    picture.paste("green", (50, 0, 150, 100))
    (cropped,) = scale(Images((picture,)), 10, 10, "nearest-exact", "center").frames
    assert cropped.getcolors() == [(100, (0, 128, 0))]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.safetensors", b"", "header too large"),
        ("a.safetensors", b"<html>not found</html>", "header too large"),
        ("a.safetensors", (90).to_bytes(8, "little") + b"{}", "invalid header length"),
        ("a.safetensors", (2).to_bytes(8, "little") + b"[]", "invalid header"),
        ("a.safetensors", EMPTY + b"more", "not fully covered"),
        ("a.gguf", b"<html>", "GGUF magic invalid"),
    ],
)
def test_a_file_that_is_no_model_is_refused(
    tmp_path: Path, name: str, content: bytes, complaint: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(weights_file.WeightsFileError, match=complaint):
        weights_file.check_weights_file(tmp_path / name)


def test_a_cut_off_model_file_is_refused(tmp_path: Path) -> None:
    header = json.dumps({"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}).encode()
    whole = len(header).to_bytes(8, "little") + header + bytes(4)
    file = tmp_path / "a.safetensors"
    file.write_bytes(whole)
    weights_file.check_weights_file(file)
    file.write_bytes(whole[:-1])
    with pytest.raises(weights_file.WeightsFileError, match="not fully covered"):
        weights_file.check_weights_file(file)


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({"host": "127.0.0.1:8188"}, False),
        ({"host": "127.0.0.1:8188", "origin": "http://127.0.0.1:8188"}, False),
        ({"host": "127.0.0.1:8188", "origin": "http://127.0.0.1:9999"}, True),
        ({"host": "localhost:8188", "origin": "https://comfy.example.com"}, True),
        ({"host": "127.0.0.1", "origin": "http://127.0.0.1:8188"}, False),
        ({"host": "comfy.example.com", "origin": "https://evil.example"}, False),
        ({"host": "comfy.example.com", "sec-fetch-site": "cross-site"}, True),
        ({"host": "comfy.example.com", "sec-fetch-site": "same-origin"}, False),
    ],
)
def test_requests_from_other_sites_pages_are_refused(headers: dict[str, str], refused: bool) -> None:
    assert forbids(headers) is refused


@pytest.mark.parametrize(
    ("received", "wanted", "fits"),
    [
        ("IMAGE", "IMAGE", True),
        ("IMAGE", "MASK", False),
        ("IMAGE", "IMAGE,MASK", True),
        ("*", "MODEL", True),
        ("STRING", "*", True),
        (["a", "b"], "COMBO", True),
        (["a", "b"], "STRING", False),
    ],
)
def test_output_types_fit_input_types(received: Any, wanted: Any, fits: bool) -> None:
    assert types_match(received, wanted) is fits


def test_an_input_set_that_grows_is_refused_by_name(contract: NodeContract) -> None:
    graph = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "2": {"class_type": "BatchImagesNode", "inputs": {"images.image0": ["1", 0]}},
        "3": {"class_type": "PreviewAny", "inputs": {"source": ["2", 0]}},
    }
    (error,) = validate(graph, contract).node_errors["2"]["errors"]
    assert error["details"] == "simulator: dynamic input BatchImagesNode.images is not modelled"


def test_a_list_longer_than_twenty_is_not_sent_back(contract: NodeContract, folders: Folders) -> None:
    loras = folders.by_type["loras"].paths[0]
    loras.mkdir(parents=True)
    for number in range(21):
        (loras / f"{number}.safetensors").touch()
    inputs = {"model": ["1", 0], "lora_name": "x", "strength_model": 1.0}
    graph = {
        "1": {"class_type": "UNETLoader", "inputs": {"unet_name": "x", "weight_dtype": "default"}},
        "2": {"class_type": "LoraLoaderModelOnly", "inputs": inputs},
        "3": {"class_type": "PreviewAny", "inputs": {"source": ["2", 0]}},
    }
    (error,) = validate(graph, contract).node_errors["2"]["errors"]
    assert error["details"] == "lora_name: 'x' not in (list of length 21)"
    assert error["extra_info"]["input_config"] is None


def chain(width: int, renamed: str = "1") -> dict[str, Any]:
    inputs = {"width": width, "height": 8, "batch_size": 1, "color": 0}
    return {
        renamed: {"class_type": "EmptyImage", "inputs": inputs},
        "2": {"class_type": "ImageInvert", "inputs": {"image": [renamed, 0]}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }


def test_a_result_is_found_again_by_what_is_above_it(contract: NodeContract, folders: Folders) -> None:
    first = keys_of(chain(8), contract, folders)
    assert keys_of(chain(8, renamed="77"), contract, folders)["3"] == first["3"]
    assert keys_of(chain(9), contract, folders)["3"] != first["3"]


def test_a_replaced_input_file_is_a_new_result(contract: NodeContract, folders: Folders) -> None:
    graph = {"1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}
    (folders.input / "a.png").write_bytes(b"one")
    before = keys_of(graph, contract, folders)
    (folders.input / "a.png").write_bytes(b"two")
    assert keys_of(graph, contract, folders) != before


def test_only_what_an_output_needs_is_run(contract: NodeContract) -> None:
    graph = chain(8) | {"4": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}}}
    schedule = Schedule(graph, ["3"], lambda node: False, lambda node: node == "3")
    order = []
    while schedule:
        order.append(schedule.next())
        schedule.done(order[-1])
    assert order == ["1", "2", "3"]


def test_nothing_above_a_cached_result_is_run(contract: NodeContract) -> None:
    schedule = Schedule(chain(8), ["3"], lambda node: node == "2", lambda node: node == "3")
    assert schedule.next() == "3"


@given(st.text(max_size=40), st.text("0123456789abcdef", min_size=4, max_size=8))
def test_drawing_is_a_function_of_its_inputs(prompt: str, identity: str) -> None:
    reference = Image.new("RGB", (40, 30), "teal")
    first = pictures.draw((32, 24), (reference,), prompt, identity)
    assert first.tobytes() == pictures.draw((32, 24), (reference,), prompt, identity).tobytes()
    assert first.tobytes() != pictures.draw((32, 24), (reference,), prompt, identity + "0").tobytes()
    assert first.tobytes() != reference.resize((32, 24)).tobytes()


def test_a_named_colour_shows_in_the_picture() -> None:
    grey = Image.new("RGB", (64, 64), (128, 128, 128))
    blue = pictures.draw((64, 64), (grey,), "make it blue", "x").resize((1, 1)).getpixel((0, 0))
    red = pictures.draw((64, 64), (grey,), "make it red", "x").resize((1, 1)).getpixel((0, 0))
    assert isinstance(blue, tuple)
    assert isinstance(red, tuple)
    assert blue[2] > red[2]
    assert blue[0] < red[0]


def test_extra_paths_in_the_documented_form_are_read(tmp_path: Path) -> None:
    file = tmp_path / "extra.yaml"
    file.write_text(
        "# the site's library\n"
        "library:\n"
        "    base_path: /srv/models  # on the big disk\n"
        "    is_default: true\n"
        "    loras: loras\n"
        "    unet: |\n"
        "        diffusion_models\n"
        "        unet\n"
    )
    found = [(entry.kind, str(entry.path), entry.first) for entry in read_extra_paths(file)]
    assert found == [
        ("loras", "/srv/models/loras", True),
        ("unet", "/srv/models/diffusion_models", True),
        ("unet", "/srv/models/unet", True),
    ]


@pytest.mark.parametrize("text", ["a: b\n", " a: b\n", "a:\n  - b\n", "a:\n  b: [c]\n", "a:\n  b\n"])
def test_extra_paths_in_another_form_are_refused_with_the_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "extra.yaml"
    file.write_text(text)
    with pytest.raises(ExtraPathsError, match=r"extra\.yaml line \d"):
        read_extra_paths(file)
