#!/usr/bin/env python3
"""nvidia-smi of the lab: prints what the real one prints, for the cards that the simulated driver describes.

Self-contained, because it is copied into hosts and mounted into containers. It finds its machine from its
own place (<root>/usr/...), and shows a card only where the driver's files and device nodes are present:
what a container sees follows from what was injected into it. An option that is not modelled is an error.
"""

from __future__ import annotations

import json
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# NVML's return codes, which nvidia-smi uses as exit status (its manual, "RETURN VALUE").
INVALID_ARGUMENT, NOT_FOUND, NO_DRIVER, NO_LIBRARY, GPU_LOST = 2, 6, 9, 12, 15
BLOCKED, VERSION_MISMATCH, NOT_MODELLED = 17, 18, 64

Record = dict[str, Any]


class SmiError(Exception):
    """What nvidia-smi prints instead of an answer, and its exit status."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


def machine_root(script: Path) -> Path:
    """The directory that stands for / around this script, which always lies below usr/."""
    parts = script.parts
    return Path(*parts[: len(parts) - 1 - parts[::-1].index("usr")])


def is_device(path: Path) -> bool:
    try:
        return stat.S_ISCHR(path.stat().st_mode)
    except OSError:
        return False


def read_driver(root: Path) -> Record:
    """The simulated driver under `root`, with the cards whose device nodes are there."""
    stores = sorted((root / "usr/lib/wsl/drivers").glob("*/simulated-driver.json"))
    native = root / "usr/share/simulated-nvidia/simulated-driver.json"
    if not stores and not native.exists():
        raise SmiError(
            "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system. Please make sure that the "
            "NVIDIA Display Driver is properly installed and present in your system.\n"
            "Please also try adding directory that contains libnvidia-ml.so to your system PATH.",
            NO_LIBRARY,
        )
    driver: Record = json.loads((stores[0] if stores else native).read_text(encoding="utf-8"))
    if stores and not is_device(root / "dev/dxg"):
        # What WSL users report when their shell has no /dev/dxg.
        raise SmiError("Failed to initialize NVML: GPU access blocked by the operating system", BLOCKED)
    if not stores:
        if not is_device(root / "dev/nvidiactl"):
            raise SmiError(NO_COMMUNICATION, NO_DRIVER)
        driver["cards"] = [c for c in driver["cards"] if is_device(root / f"dev/nvidia{c['minor']}")]
        # nvidia-smi counts the cards it can open, not those of the machine.
        driver["cards"] = [{**card, "index": n} for n, card in enumerate(driver["cards"])]
    return driver


NO_COMMUNICATION = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
    "Make sure that the latest NVIDIA driver is installed and running.\n"
)


def apply_fault(driver: Record) -> str:
    """Raises or hangs as the driver's fault demands; returns the text of a lost card."""
    fault = driver.get("fault") or {"kind": None}
    kind = fault["kind"]
    while kind == "hang":
        time.sleep(3600)
    if kind == "driver_unreachable":
        raise SmiError(NO_COMMUNICATION, NO_DRIVER)
    if kind == "version_mismatch":
        library = ".".join(driver["guest_version"].split(".")[:2])
        raise SmiError(
            f"Failed to initialize NVML: Driver/library version mismatch\nNVML library version: {library}",
            VERSION_MISMATCH,
        )
    if kind == "access_blocked":
        raise SmiError("Failed to initialize NVML: GPU access blocked by the operating system", BLOCKED)
    if kind == "no_devices":
        driver["cards"] = []
    lost = ""
    if kind == "gpu_lost":
        gone = [card for card in driver["cards"] if card["uuid"] == fault["uuid"]]
        driver["cards"] = [card for card in driver["cards"] if card["uuid"] != fault["uuid"]]
        lost = "".join(
            f"Unable to determine the device handle for GPU {card['pci_bus_id'][4:]}: GPU is lost.  "
            "Reboot the system to recover this GPU\n"
            for card in gone
        )
    if not driver["cards"]:
        raise SmiError(lost.strip() or "No devices were found", GPU_LOST if lost else NOT_FOUND)
    return lost


# --- queries ------------------------------------------------------------------------------------------

Reader = Callable[[Record, Record], str]
NOT_AVAILABLE: Reader = lambda card, driver: "[N/A]"  # noqa: E731 - a named constant among its peers
MEMORY_USED = 512

# Field -> (unit, reader). Load figures are what WSL does not hand to the guest.
FIELDS: dict[str, tuple[str, Reader]] = {
    "timestamp": ("", lambda card, driver: time.strftime("%Y/%m/%d %H:%M:%S.000")),
    "driver_version": ("", lambda card, driver: driver["driver_version"]),
    "count": ("", lambda card, driver: str(len(driver["cards"]))),
    "name": ("", lambda card, driver: card["name"]),
    "index": ("", lambda card, driver: str(card["index"])),
    "uuid": ("", lambda card, driver: card["uuid"]),
    "serial": ("", NOT_AVAILABLE),
    "pci.bus_id": ("", lambda card, driver: card["pci_bus_id"]),
    "pci.domain": ("", lambda card, driver: "0x" + card["pci_bus_id"][4:8]),
    "pci.bus": ("", lambda card, driver: "0x" + card["pci_bus_id"][9:11]),
    "pci.device": ("", lambda card, driver: "0x" + card["pci_bus_id"][12:14]),
    "compute_cap": ("", lambda card, driver: card["compute_capability"]),
    "compute_mode": ("", lambda card, driver: "Default"),
    "display_active": ("", lambda card, driver: "Enabled" if card["index"] == 0 else "Disabled"),
    "persistence_mode": ("", lambda card, driver: "Enabled"),
    "mig.mode.current": ("", NOT_AVAILABLE),
    "pstate": ("", lambda card, driver: "P8"),
    "memory.total": ("MiB", lambda card, driver: str(card["memory_mib"])),
    "memory.used": ("MiB", lambda card, driver: str(MEMORY_USED)),
    "memory.free": ("MiB", lambda card, driver: str(card["memory_mib"] - MEMORY_USED)),
    "utilization.gpu": ("%", NOT_AVAILABLE),
    "utilization.memory": ("%", NOT_AVAILABLE),
    "temperature.gpu": ("", lambda card, driver: "45"),
    "fan.speed": ("%", NOT_AVAILABLE),
    "power.draw": ("W", NOT_AVAILABLE),
    "power.limit": ("W", NOT_AVAILABLE),
}
ALIASES = {"gpu_name": "name", "gpu_uuid": "uuid", "gpu_bus_id": "pci.bus_id", "gpu_serial": "serial"}


def print_query(driver: Record, query: str, formats: str) -> None:
    wanted = [field.strip() for field in query.split(",")]
    for field in wanted:
        if ALIASES.get(field, field) not in FIELDS:
            raise SmiError(f'Field "{field}" is not a valid field to query.\n', INVALID_ARGUMENT)
    styles = [style.strip() for style in formats.split(",")]
    if "csv" not in styles or set(styles) - {"csv", "noheader", "nounits"}:
        raise SmiError(
            f"\"{formats}\" is not a valid format. Please run 'nvidia-smi -h' for help.", INVALID_ARGUMENT
        )
    if "noheader" not in styles:
        titles = [(field, FIELDS[ALIASES.get(field, field)][0]) for field in wanted]
        print(", ".join(f"{field} [{unit}]" if unit else field for field, unit in titles))
    for card in driver["cards"]:
        cells = []
        for field in wanted:
            unit, reader = FIELDS[ALIASES.get(field, field)]
            value = reader(card, driver)
            plain = not unit or "nounits" in styles or value.startswith("[")
            cells.append(value if plain else f"{value} {unit}")
        print(", ".join(cells))


def print_list(driver: Record) -> None:
    for card in driver["cards"]:
        print(f"GPU {card['index']}: {card['name']} (UUID: {card['uuid']})")


def print_version(driver: Record) -> None:
    library = ".".join(driver["guest_version"].split(".")[:2])
    print(f"NVIDIA-SMI version  : {driver['guest_version']}")
    print(f"NVML version        : {library}")
    print(f"DRIVER version      : {driver['driver_version']}")
    print(f"CUDA Version        : {driver['cuda_version']}")


def print_summary(driver: Record) -> None:
    wide = "-" * 89
    rule = "+" + "-" * 41 + "+" + "-" * 24 + "+" + "-" * 22 + "+"
    versions = f"{driver['guest_version']:<23}Driver Version: {driver['driver_version']:<15}"
    print(time.strftime("%a %b %e %H:%M:%S %Y") + "       ")
    print(f"+{wide}+")
    print(f"| NVIDIA-SMI {versions}CUDA Version: {driver['cuda_version']:<9}|")
    print(rule)
    print("| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |")
    print("| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |")
    print("|                                         |                        |               MIG M. |")
    print("|" + "=" * 41 + "+" + "=" * 24 + "+" + "=" * 22 + "|")
    for card in driver["cards"]:
        name = card["name"] if len(card["name"]) <= 27 else card["name"][:24] + "..."
        display = " On" if card["index"] == 0 else "Off"
        memory = f"{MEMORY_USED:>8}MiB / {card['memory_mib']:>6}MiB "
        print(f"|{card['index']:>4}  {name:<27}    On  |   {card['pci_bus_id']} {display} |{'N/A':>21} |")
        print(f"| N/A   45C    P8{'N/A':>17} /  N/A |{memory}|{'N/A':>8}{'Default':>13} |")
        print(f"|{'':41}|{'':24}|{'N/A':>21} |")
        print(rule)
    print()
    print(f"+{wide}+")
    print(f"| Processes:{'':78}|")
    print(f"|  GPU   GI   CI              PID   Type   Process name{'':24}GPU Memory |")
    print(f"|        ID   ID{'':63}Usage      |")
    print("|" + "=" * 89 + "|")
    print(f"|  No running processes found{'':61}|")
    print(f"+{wide}+")


# --- command line -------------------------------------------------------------------------------------


def select(driver: Record, identifier: str) -> None:
    """Keeps the cards that -i names: by number, UUID or PCI address, as the real option takes them."""
    wanted = [one.strip() for one in identifier.split(",")]
    kept = [c for c in driver["cards"] if {str(c["index"]), c["uuid"], c["pci_bus_id"]} & set(wanted)]
    if len(kept) != len(set(wanted)):
        raise SmiError("No devices were found", NOT_FOUND)
    driver["cards"] = kept


def parse_arguments(arguments: list[str]) -> dict[str, str]:
    """Options by their long name; SmiError for what the real program or this model does not know."""
    names = {"-L": "--list-gpus", "-i": "--id", "-h": "--help"}
    takes_value = {"--id", "--query-gpu", "--format"}
    plain = {"--list-gpus", "--version"}
    options: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        name = names.get(name, name)
        if name in takes_value:
            if not equals and not rest:
                raise SmiError(f"ERROR: Option {word} requires an argument.", INVALID_ARGUMENT)
            options[name] = value if equals else rest.pop(0)
        elif word in names or word in plain:
            options[name] = ""
        elif word in REAL_BUT_NOT_MODELLED or name in REAL_BUT_NOT_MODELLED:
            raise SmiError(f"The lab's nvidia-smi does not model {word}.", NOT_MODELLED)
        else:
            raise SmiError(
                f"ERROR: Option {word} is not recognized. Please run 'nvidia-smi -h' for help.",
                INVALID_ARGUMENT,
            )
    if "--query-gpu" in options and "--format" not in options:
        raise SmiError(
            "\"--format=\" switch is missing. Please run 'nvidia-smi -h' for help.", INVALID_ARGUMENT
        )
    actions = {"--list-gpus", "--query-gpu", "--version", "--help"} & set(options)
    if len(actions) > 1 or ("--format" in options and "--query-gpu" not in options):
        raise SmiError(
            "Invalid combination of input arguments. Please run 'nvidia-smi -h' for help.", INVALID_ARGUMENT
        )
    return options


REAL_BUT_NOT_MODELLED = {
    *(
        "--help",
        "-q",
        "--query",
        "-x",
        "--xml-format",
        "-d",
        "--display",
        "-l",
        "--loop",
        "-lms",
        "--loop-ms",
    ),
    *("-f", "--filename", "-pm", "-pl", "-c", "-r", "--gpu-reset", "-mig", "-lgc", "-rgc", "-B", "-u"),
    *("--query-compute-apps", "--query-supported-clocks", "--help-query-gpu"),
    *("dmon", "pmon", "daemon", "topo", "drain", "nvlink", "clocks", "vgpu", "mig", "conf-compute"),
}


def run(arguments: list[str], root: Path) -> int:
    options = parse_arguments(arguments)
    if "--help" in options:
        raise SmiError("The lab's nvidia-smi does not model its help text.", NOT_MODELLED)
    driver = read_driver(root)
    lost = apply_fault(driver)
    # A lost card is reported beside the answer for the others, and the exit status stays zero.
    sys.stderr.write(lost)
    if "--id" in options:
        select(driver, options["--id"])
    if "--query-gpu" in options:
        print_query(driver, options["--query-gpu"], options["--format"])
    elif "--list-gpus" in options:
        print_list(driver)
    elif "--version" in options:
        print_version(driver)
    else:
        print_summary(driver)
    return 0


def main() -> int:
    try:
        return run(sys.argv[1:], machine_root(Path(__file__).absolute()))
    except SmiError as error:
        # The real program writes its failures to standard output.
        print(error)
        return error.code


if __name__ == "__main__":
    raise SystemExit(main())
