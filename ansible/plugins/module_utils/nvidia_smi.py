"""Reads what nvidia-smi prints: the cards of a CSV query, and each way in which it is known to fail.

Under WSL2 many figures are "[N/A]", a card that fell off the bus prints a line beside the answers of its
neighbours (exit status zero), and a failure is a sentence on standard output. Sources of the failure texts:
NVML's error strings and reports of WSL users.
"""

from __future__ import annotations

import dataclasses
import re

# Asked for by name and read by name: the order of the columns is nobody's business.
QUERY_FIELDS = (
    *("index", "name", "uuid", "pci.bus_id", "memory.total", "driver_version", "compute_cap"),
    "mig.mode.current",
)

WSL_NVIDIA_SMI = "/usr/lib/wsl/lib/nvidia-smi"


class SmiFailure(Exception):
    """nvidia-smi gave no usable answer; the message says what was found, expected and comes next."""


def advice(found: str, expected: str, next_step: str) -> str:
    """The shape of every message to the operator."""
    return f"found: {found}; expected: {expected}; next step: {next_step}"


@dataclasses.dataclass(frozen=True)
class Gpu:
    """One card as nvidia-smi lists it; None where it prints "[N/A]" or the like."""

    index: int
    name: str
    uuid: str
    pci_bus_id: str
    memory_mib: int | None
    driver_version: str | None
    compute_capability: str | None
    # True where the card is divided (Multi-Instance GPU): CUDA then sees instances, and never the whole card.
    mig: bool = False


@dataclasses.dataclass(frozen=True)
class Answer:
    """The cards that answered, in order of the PCI bus, and the lines about cards that did not."""

    gpus: tuple[Gpu, ...]
    lost: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _Failure:
    text: str
    meaning: str
    next_step_wsl: str
    next_step_native: str


_RESTART_WSL = "run `wsl --shutdown` on Windows, start the guest and run again"
_FAILURES = (
    _Failure(
        "No devices were found",
        "the driver answers, but it has no card",
        "look for the card in Windows' Device Manager, then " + _RESTART_WSL,
        "look for the card with `lspci`, and for NVIDIA's messages with `dmesg`",
    ),
    _Failure(
        "Driver/library version mismatch",
        "the driver was updated while this system ran",
        _RESTART_WSL,
        "reboot the host, or unload and load the nvidia kernel modules",
    ),
    _Failure(
        "couldn't communicate with the NVIDIA driver",
        "no driver is loaded",
        "install NVIDIA's current driver on Windows, run `wsl --update`, then " + _RESTART_WSL,
        "install NVIDIA's driver for this kernel and load it",
    ),
    _Failure(
        "GPU access blocked by the operating system",
        "Windows does not hand its cards to this guest",
        "check that /dev/dxg exists, run `wsl --update`, then " + _RESTART_WSL,
        "check the permissions of /dev/nvidia*",
    ),
    _Failure(
        "couldn't find libnvidia-ml.so",
        "the driver's libraries are not there",
        "install NVIDIA's current driver on Windows (never one inside the guest), then " + _RESTART_WSL,
        "install NVIDIA's driver with its libraries",
    ),
    _Failure(
        "is not a valid field to query",
        "the driver is too old for a field that we ask for",
        "install NVIDIA's current driver on Windows, then " + _RESTART_WSL,
        "install NVIDIA's current driver",
    ),
)
_BY_HAND = f"run `nvidia-smi --query-gpu={','.join(QUERY_FIELDS)} --format=csv` and look at its answer"
_LOST_NEXT = {
    "wsl": "restart Windows: a card that fell off the bus does not come back without it; then run again",
    "native": "reboot the host: a card that fell off the bus does not come back without it",
}
# "... for GPU 0000:02:00.0: GPU is lost.", "... for GPU1: 0000:02:00.0: Unknown Error"
_LOST = re.compile(r"Unable to determine the device handle for|GPU is lost|fallen off the bus")
# An instance of a divided card; it is no card, and CUDA_VISIBLE_DEVICES would have to name it by a UUID of its own.
_INSTANCE = re.compile(r"MIG\s.*\(UUID: MIG-")
# "[N/A]", "[Not Supported]", "[Unknown Error]", "[GPU is lost]": a cell without a value.
_NO_VALUE = re.compile(r"\[[^\]]*\]|N/A")


def query_command(nvidia_smi: str) -> list[str]:
    """The command whose output `read_query` reads."""
    return [nvidia_smi, f"--query-gpu={','.join(QUERY_FIELDS)}", "--format=csv"]


def read_query(output: str, errors: str, code: int, mode: str) -> Answer:
    """The cards in the output of `query_command`; SmiFailure for every other outcome.

    `mode`, "wsl" or "native", decides which next step a failure names.
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    lines = [line for line in lines if not _INSTANCE.match(line)]
    every = lines + [line.strip() for line in errors.splitlines() if line.strip()]
    lost = tuple(dict.fromkeys(line for line in every if _LOST.search(line) and not _is_row(line)))
    for failure in _FAILURES:
        if any(failure.text in line for line in every):
            raise SmiFailure(_sentence(failure, mode))
    if code != 0 and not (lost and any(_is_row(line) for line in lines)):
        raise SmiFailure(_lost_sentence(lost, mode) if lost else _unknown_sentence(every, code))
    rows = [line for line in lines if line not in lost]
    if not rows:
        raise SmiFailure(_lost_sentence(lost, mode) if lost else _unknown_sentence(every, code))
    gpus, unreadable = _read_rows(rows)
    if not gpus:
        raise SmiFailure(_lost_sentence((*lost, *unreadable), mode))
    return Answer(tuple(sorted(gpus, key=lambda gpu: pci_key(gpu.pci_bus_id))), (*lost, *unreadable))


def timeout_sentence(seconds: int, mode: str) -> str:
    """What to tell when nvidia-smi hangs, as it does on a driver that waits for a lost card."""
    step = _RESTART_WSL if mode == "wsl" else "reboot the host, the driver is stuck"
    return advice(f"nvidia-smi gave no answer within {seconds} s", "the list of cards", step)


def normal_pci(address: str) -> str:
    """A PCI address in nvidia-smi's form, 00000000:02:00.0; ValueError for what is none."""
    match = re.fullmatch(
        r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])", address.strip(), re.IGNORECASE
    )
    if not match:
        raise ValueError(f"{address!r} is no PCI address like 0000:02:00.0")
    domain, bus, device, function = match.groups()
    return f"{int(domain or '0', 16):08X}:{bus.upper()}:{device.upper()}.{function}"


def pci_key(address: str) -> tuple[int, ...]:
    """Sorts as CUDA_DEVICE_ORDER=PCI_BUS_ID counts: domain, bus, device, function."""
    return tuple(int(part, 16) for part in re.split(r"[:.]", normal_pci(address)))


def _is_row(line: str) -> bool:
    return line.count(",") >= len(QUERY_FIELDS) - 1


def _read_rows(rows: list[str]) -> tuple[list[Gpu], list[str]]:
    titles = [re.sub(r"\s*\[[^\]]*\]$", "", title.strip()) for title in rows[0].split(",")]
    missing = [field for field in QUERY_FIELDS if field not in titles]
    if missing:
        raise SmiFailure(
            advice(
                f"nvidia-smi's first line is {rows[0]!r}",
                f"a CSV title line with {', '.join(missing)}",
                _BY_HAND,
            )
        )
    gpus, unreadable = [], []
    for row in rows[1:]:
        cells = [cell.strip() for cell in row.split(",")]
        if len(cells) != len(titles):
            raise SmiFailure(
                advice(
                    f"nvidia-smi's line {row!r} has {len(cells)} values",
                    f"{len(titles)}, as in its title line",
                    _BY_HAND,
                )
            )
        gpu = _gpu(dict(zip(titles, cells, strict=True)), row)
        if gpu:
            gpus.append(gpu)
        else:
            unreadable.append(row)
    return gpus, unreadable


def _gpu(cells: dict[str, str], row: str) -> Gpu | None:
    """The card of one row, or None where what identifies a card is missing: a card that stopped answering."""
    value = {field: None if _NO_VALUE.fullmatch(cell) else cell for field, cell in cells.items()}
    index, name, uuid, address = (value[field] for field in ("index", "name", "uuid", "pci.bus_id"))
    if not (index and name and uuid and address):
        return None
    memory = (value["memory.total"] or "").removesuffix("MiB").strip()
    try:
        return Gpu(
            index=int(index),
            name=name,
            uuid=uuid,
            pci_bus_id=normal_pci(address),
            memory_mib=int(memory) if memory else None,
            driver_version=value["driver_version"],
            compute_capability=value["compute_cap"],
            mig=value["mig.mode.current"] == "Enabled",
        )
    except ValueError as error:
        raise SmiFailure(
            advice(
                f"nvidia-smi's line {row!r}: {error}",
                "numbers and a PCI address where they belong",
                _BY_HAND,
            )
        ) from error


def _sentence(failure: _Failure, mode: str) -> str:
    step = failure.next_step_wsl if mode == "wsl" else failure.next_step_native
    return advice(f"nvidia-smi says '{failure.text}' ({failure.meaning})", "the list of cards", step)


def _lost_sentence(lost: tuple[str, ...], mode: str) -> str:
    return advice(f"nvidia-smi says '{' / '.join(lost)}'", "the list of cards", _LOST_NEXT[mode])


def _unknown_sentence(lines: list[str], code: int) -> str:
    said = f"says '{' / '.join(lines[:3])}'" if lines else "says nothing"
    return advice(
        f"nvidia-smi {said} (exit status {code})",
        "the list of cards",
        "run nvidia-smi by hand on that host and put right what it names",
    )
