"""A container sees the cards that were injected into it, and asking for what WSL cannot give fails visibly."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.mirror.simulated_toolkit import cdi, ctk, hook, oci, runtime, selection
from tests.lab.mirror.simulated_toolkit.driver import Driver, ToolkitError, find_driver, injection

STORE = "/usr/lib/wsl/drivers/nv_dispi.inf_amd64_3f0c2b9e7d51a864"
UUID_3090 = "GPU-e47b2d90-35c8-4f16-8a0e-c92f61d3b7a4"
MOBY_HOOK = {
    "path": "/usr/bin/nvidia-container-runtime-hook",
    "args": ["nvidia-container-runtime-hook", "prestart"],
}
SPEC: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "process": {"env": ["PATH=/usr/bin"]},
    "root": {"path": "rootfs"},
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
    "linux": {"resources": {"devices": [{"allow": False, "access": "rwm"}]}},
}


def numbers(_path: str) -> tuple[int, int]:
    return 1, 3


def wanting(value: str | None, spec: dict[str, Any] = SPEC) -> dict[str, Any]:
    asked = copy.deepcopy(spec)
    if value is not None:
        asked["process"]["env"].append(f"NVIDIA_VISIBLE_DEVICES={value}")
    return asked


def edited(spec: dict[str, Any], root: Path) -> dict[str, Any]:
    return oci.with_cards(spec, lambda: find_driver(root), numbers)


# --- the runtime's edit of config.json -------------------------------------------------------------------


def test_in_wsl_the_container_gets_dxg_and_the_drivers_folders_read_only(wsl: Path) -> None:
    result = edited(wanting("all"), wsl)
    mounts = {mount["destination"]: mount for mount in result["mounts"]}
    assert set(mounts) == {"/proc", "/usr/lib/wsl/lib", STORE, "/usr/bin/nvidia-smi"}
    assert all("ro" in mounts[target]["options"] for target in mounts if target != "/proc")
    assert [device["path"] for device in result["linux"]["devices"]] == ["/dev/dxg"]
    # After the rule that denies everything, or the last word would be no.
    assert result["linux"]["resources"]["devices"][0] == {"allow": False, "access": "rwm"}
    assert result["linux"]["resources"]["devices"][1]["allow"] is True


def test_another_vendors_driver_store_stays_out(wsl: Path) -> None:
    assert "iigd" not in json.dumps(edited(wanting("all"), wsl))


@pytest.mark.parametrize("value", ["1", "0,1", UUID_3090, "all,1", "3090"])
def test_wsl_refuses_a_single_card_as_nvidias_toolkit_does(wsl: Path, value: str) -> None:
    with pytest.raises(ToolkitError, match="unsuppored id "):
        edited(wanting(value), wsl)


@pytest.mark.parametrize("value", [None, "", "void", "none"])
def test_a_container_that_asks_for_no_card_is_left_as_it_is_even_without_a_driver(
    tmp_path: Path, value: str | None
) -> None:
    spec = wanting(value)
    assert edited(spec, tmp_path) == spec


@pytest.mark.parametrize("value", ["1", UUID_3090, f"nvidia.com/gpu={UUID_3090}"])
def test_native_linux_injects_the_one_card_that_is_named(native: Path, value: str) -> None:
    result = edited(wanting(value), native)
    assert [device["path"] for device in result["linux"]["devices"]] == ["/dev/nvidiactl", "/dev/nvidia1"]


def test_native_linux_refuses_a_card_that_is_not_there(native: Path) -> None:
    with pytest.raises(ToolkitError, match=r"unresolvable CDI devices nvidia\.com/gpu=7"):
        edited(wanting("7"), native)


def test_the_hook_that_docker_added_is_taken_out_where_the_runtime_does_its_work(native: Path) -> None:
    other = {"path": "/usr/bin/other-hook"}
    spec = {**wanting("0"), "hooks": {"prestart": [MOBY_HOOK, other]}}
    assert edited(spec, native)["hooks"]["prestart"] == [other]


def test_the_specification_that_was_handed_in_is_not_touched(wsl: Path) -> None:
    spec = wanting("all")
    before = copy.deepcopy(spec)
    edited(spec, wsl)
    assert spec == before


def test_a_second_edit_adds_no_second_mount_or_device(wsl: Path) -> None:
    once = edited(wanting("all"), wsl)
    twice = edited(once, wsl)
    assert twice["mounts"] == once["mounts"]
    assert twice["linux"]["devices"] == once["linux"]["devices"]


def test_specifications_with_nulls_in_place_of_lists_are_edited(wsl: Path) -> None:
    spec = {"process": {"env": ["NVIDIA_VISIBLE_DEVICES=all"]}, "linux": {"devices": None, "resources": {}}}
    assert edited(spec, wsl)["linux"]["devices"][0]["path"] == "/dev/dxg"


@given(words=st.lists(st.sampled_from(["all", "void", "none", "", "0", "A=B"]), max_size=4))
def test_the_last_value_of_the_variable_counts(words: list[str]) -> None:
    environment = [f"NVIDIA_VISIBLE_DEVICES={word}" for word in words]
    last = words[-1] if words else ""
    assert selection.requested(environment) == ([] if last in ("", "void", "none") else [last])


# --- finding the driver ----------------------------------------------------------------------------------


def test_without_dxg_there_is_nothing_to_inject(wsl: Path) -> None:
    (wsl / "dev/dxg").unlink()
    with pytest.raises(ToolkitError, match="/dev/dxg not found"):
        find_driver(wsl)


def test_a_host_without_any_driver_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match=r"neither .*libdxcore\.so nor /dev/nvidiactl"):
        find_driver(tmp_path)


def test_the_driver_store_is_known_by_its_content_and_not_by_its_name(wsl: Path) -> None:
    (wsl / STORE[1:]).rename(wsl / "usr/lib/wsl/drivers/nvfrwi.inf_amd64_0123456789abcdef")
    assert find_driver(wsl).folder == "/usr/lib/wsl/drivers/nvfrwi.inf_amd64_0123456789abcdef"


def test_a_driver_store_that_is_gone_is_an_error(wsl: Path) -> None:
    (wsl / STORE[1:] / "libcuda.so.1.1").unlink()
    with pytest.raises(ToolkitError, match="found 0 driver store paths"):
        find_driver(wsl)


# --- the program around the edit -------------------------------------------------------------------------

CREATE = "--root /run/r --log /run/log.json --log-format json create --bundle {bundle} --pid-file /p ID"


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (CREATE, True),
        ("--root create --log=x start ID", False),
        ("--systemd-cgroup create -b . ID", True),
        ("delete --force create", False),
        ("--version", False),
        ("", False),
    ],
)
def test_only_the_creation_of_a_container_is_edited(line: str, answer: bool) -> None:
    assert runtime.creates(line.split()) is answer


@pytest.mark.parametrize("line", ["create --bundle /b ID", "create --bundle=/b ID", "create -b /b ID"])
def test_the_bundle_is_found_however_it_is_written(line: str) -> None:
    assert runtime.option(line.split(), "--bundle", "-b") == "/b"


def run_runtime(folder: Path, spec: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """The runtime as a program, with a runc that tells how it was called."""
    tools, bundle = folder / "bin", folder / "bundle"
    tools.mkdir()
    bundle.mkdir()
    (tools / "runc").write_text('#!/bin/sh\necho "runc $*"\n')
    (tools / "runc").chmod(0o755)
    (bundle / "config.json").write_text(json.dumps(spec))
    program = "import sys; from tests.lab.mirror.simulated_toolkit.runtime import main; sys.exit(main(sys.argv[1:]))"
    line = CREATE.format(bundle=bundle).replace("/run/log.json", str(folder / "log.json"))
    return subprocess.run(
        [sys.executable, "-c", program, *line.split()],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": f"{tools}:/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
    )


def test_the_runtime_becomes_runc_with_the_same_arguments(tmp_path: Path) -> None:
    done = run_runtime(tmp_path, wanting("void"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("runc --root /run/r --log ")
    assert done.stdout.rstrip().endswith("--pid-file /p ID")


def test_what_cannot_be_injected_reaches_the_engines_error_message(tmp_path: Path) -> None:
    # This host has no cards, or WSL's: a card of that number is refused either way.
    done = run_runtime(tmp_path, wanting("99"))
    assert done.returncode == 1
    assert done.stdout == ""
    line = json.loads((tmp_path / "log.json").read_text())
    assert line["level"] == "error"
    assert line["msg"].startswith("failed to create NVIDIA Container Runtime: ")


# --- the hook --------------------------------------------------------------------------------------------


def test_the_hook_mounts_below_the_containers_root_and_makes_the_device_nodes(native: Path) -> None:
    driver = find_driver(native)
    cards = selection.legacy_cards(driver, [UUID_3090])
    commands = [" ".join(step) for step in hook.steps(injection(driver, cards), "/bundle/rootfs", numbers)]
    assert commands[-1] == "mknod -m 0666 /bundle/rootfs/dev/nvidia1 c 1 3"
    assert all("/bundle/rootfs/" in command for command in commands)
    bound = [command for command in commands if command.startswith("mount --bind")]
    closed = [command for command in commands if "remount,bind,ro" in command]
    assert len(bound) == len(closed) > 0


def test_in_wsl_the_hook_takes_an_index_and_isolates_nothing(wsl: Path) -> None:
    driver = find_driver(wsl)
    assert selection.legacy_cards(driver, ["1"]) == driver.cards
    with pytest.raises(ToolkitError, match="device error: 7: unknown device"):
        selection.legacy_cards(driver, ["7"])


def test_the_root_may_be_given_relative_to_the_bundle() -> None:
    assert hook.container_root(Path("/b"), {"root": {"path": "rootfs"}}) == "/b/rootfs"
    assert hook.container_root(Path("/b"), {"root": {"path": "/var/x"}}) == "/var/x"


# --- CDI and nvidia-ctk ----------------------------------------------------------------------------------


def names(driver: Driver) -> list[str]:
    return [device["name"] for device in cdi.specification(driver)["devices"]]


def test_cdi_offers_only_all_in_wsl_and_every_card_on_native_linux(wsl: Path, native: Path) -> None:
    assert names(find_driver(wsl)) == ["all"]
    assert {"all", "0", "1", UUID_3090} < set(names(find_driver(native)))


def test_a_cdi_document_names_the_driver_store_of_its_day(wsl: Path) -> None:
    mounts = cdi.specification(find_driver(wsl))["containerEdits"]["mounts"]
    assert STORE in [mount["hostPath"] for mount in mounts]


def test_configure_adds_the_runtime_and_keeps_what_others_wrote(tmp_path: Path) -> None:
    file = tmp_path / "daemon.json"
    file.write_text('{"log-driver": "journald", "runtimes": {"kata": {"path": "kata"}}}')
    assert ctk.main(["runtime", "configure", "--runtime=docker", f"--config={file}", "--set-as-default"]) == 0
    document = json.loads(file.read_text())
    assert document["log-driver"] == "journald"
    assert set(document["runtimes"]) == {"kata", "nvidia"}
    assert document["default-runtime"] == "nvidia"


def test_configure_does_not_overwrite_a_broken_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "daemon.json"
    file.write_text("{")
    assert ctk.main(["runtime", "configure", "--runtime=docker", f"--config={file}"]) == 1
    assert file.read_text() == "{"
    assert str(file) in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        "",
        "config",
        "cdi",
        "cdi transform",
        "cdi generate --mode=wsl",
        "runtime configure --runtime=crio",
        "--debug",
    ],
)
def test_nvidia_ctk_names_a_call_that_it_does_not_model(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        ctk.main(line.split())
    assert caught.value.code == 64
    assert "does not model this call" in capsys.readouterr().err


# --- the packages ----------------------------------------------------------------------------------------


def test_the_toolkit_needs_nothing_beyond_the_standard_library() -> None:
    """It is installed into hosts that have Python and nothing else."""
    folder = Path(cdi.__file__).parent
    program = "; ".join(f"import simulated_toolkit.{path.stem}" for path in sorted(folder.glob("[a-z]*.py")))
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path.insert(0, {str(folder.parent)!r}); {program}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_device_numbers_are_those_of_the_node() -> None:
    assert oci.device_numbers("/dev/null") == (1, 3)
