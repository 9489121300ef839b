"""Starts ComfyUI on the card that this container was pinned to, or says why not and ends.

The first process of the image. An index says nothing about a card, and in WSL2 nothing isolates one, so torch itself
is asked for its device 0 before ComfyUI may serve. Docker shows a container that ends here as unhealthy, and starts it
again. Beside ComfyUI, nodes.py looks whether it has all of its node classes.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# A first `import torch` from a cold disk takes a while; a driver that waits for a lost card never answers.
SECONDS = 120
# EX_CONFIG: what was asked for is wrong, and not the program.
REFUSED = 78
MODES = ("wsl", "native", "cpu")
# They overwrite CUDA_VISIBLE_DEVICES after this check.
OVERWRITES = ("--cuda-device", "--default-device")
# Less than what nvidia-smi says, because the driver keeps a part for itself.
LEAST_MEMORY = 0.9
MIB = 1024 * 1024

# In a process of its own, which can be given up, and in ComfyUI's folder, as ComfyUI imports it.
ASK = """
import json, torch
found = {"torch": torch.__version__, "cuda": torch.version.cuda, "available": torch.cuda.is_available()}
try:
    card = torch.cuda.get_device_properties(0)
    found |= {"name": card.name, "uuid": str(getattr(card, "uuid", "")), "memory": card.total_memory}
except Exception as error:
    found["error"] = str(error)
print(json.dumps(found))
"""


def advice(found: str, expected: str, next_step: str) -> str:
    """The shape of every message to the operator, a line for each part."""
    return f"found: {found}\nexpected: {expected}\nnext step: {next_step}"


def wrong_options(options: Sequence[str], mode: str) -> str:
    """Why ComfyUI's command line contradicts the pin, or "" where it does not."""
    names = [option.partition("=")[0] for option in options]
    overwriting = [name for name in names if name in OVERWRITES]
    if overwriting:
        return advice(
            f"ComfyUI is to start with {overwriting[0]}, which overwrites the pin",
            "no such option: CUDA_VISIBLE_DEVICES selects the card",
            "take it out of the Compose file, or run the deployment again",
        )
    if "--cpu" in names and mode != "cpu":
        return advice(
            "ComfyUI is to start with --cpu, and would leave its card idle",
            "ComfyUI on its card",
            "take it out of the Compose file, or run the deployment again",
        )
    if mode == "cpu" and "--cpu" not in names:
        return advice(
            "gpu_pin_mode is cpu, and ComfyUI is to start without --cpu",
            "the option --cpu",
            "run the deployment again",
        )
    return ""


def wrong_card(answer: Mapping[str, Any], pin: Mapping[str, str]) -> str:
    """Why torch's device 0 is not the pinned card, or "" where it is. `pin` is the environment.

    Compared by UUID; where torch or the pin has none, by name and memory.
    """
    name, uuid = pin.get("COMFYSTACK_GPU_NAME", ""), pin.get("COMFYSTACK_GPU_UUID", "")
    memory = int(pin.get("COMFYSTACK_GPU_MEMORY_MIB") or 0)
    selected = " and ".join(
        f"{key}={pin[key]}" if key in pin else f"no {key}"
        for key in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
    )
    expected = f"{name} ({uuid})"
    if "name" not in answer:
        return advice(
            f"torch {answer['torch']} (CUDA {answer['cuda']}) has no card: {answer['error']}; with {selected}",
            expected,
            "look at `nvidia-smi` on the host; after a driver update, restart the guest and run the deployment again",
        )
    found = (
        f"CUDA device 0 is {answer['name']} ({answer['uuid'] or 'no UUID'}, {answer['memory'] // MIB} MiB)"
    )
    if _bare(answer["uuid"]) and _bare(uuid):
        same = _bare(answer["uuid"]) == _bare(uuid)
    else:
        same = answer["name"] == name and answer["memory"] >= LEAST_MEMORY * memory * MIB
    if same:
        return ""
    return advice(
        f"{found}, with {selected}",
        expected,
        "run the deployment again, which derives the pin anew; it was changed by hand, or the cards were renumbered",
    )


def _bare(uuid: str) -> str:
    """Without nvidia-smi's prefix, which torch leaves out; "" for the zeros of a driver that tells none."""
    text = uuid.lower().removeprefix("gpu-")
    return text if text.strip("0-") else ""


def refusal(options: Sequence[str], environment: Mapping[str, str]) -> str:
    """Why ComfyUI may not start, or "" where it may."""
    mode = environment.get("COMFYSTACK_GPU_MODE", "")
    if mode not in MODES:
        return advice(
            f"COMFYSTACK_GPU_MODE is {mode!r}",
            f"one of {', '.join(MODES)}, and the pinned card in COMFYSTACK_GPU_NAME and COMFYSTACK_GPU_UUID",
            "start it through its Compose file; by hand and without a card, with COMFYSTACK_GPU_MODE=cpu and --cpu",
        )
    contradiction = wrong_options(options, mode)
    if contradiction or mode == "cpu":
        return contradiction
    try:
        done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, timeout=SECONDS)
        answer = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        return advice(
            f"torch gave no answer within {SECONDS} s",
            environment.get("COMFYSTACK_GPU_NAME", ""),
            "restart the guest: a driver that hangs does not come back without it",
        )
    except (IndexError, ValueError):
        return advice(
            f"torch cannot be asked for its card: {done.stderr.strip()[-600:]}",
            "a torch that can be imported",
            "build the image again",
        )
    return wrong_card(answer, environment)


def main() -> None:
    """Ends with REFUSED and the reason, or becomes ComfyUI."""
    problem = refusal(sys.argv[1:], os.environ)
    if problem:
        print(problem, file=sys.stderr)
        sys.exit(REFUSED)
    compare_nodes()
    os.execv(sys.executable, [sys.executable, "main.py", *sys.argv[1:]])  # noqa: S606 - it becomes ComfyUI


def compare_nodes() -> None:
    """Starts nodes.py beside this process, as a child of the container's init, which alone collects what has ended."""
    command = [sys.executable, str(Path(__file__).with_name("nodes.py")), str(os.getpid())]
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            os.execv(sys.executable, command)  # noqa: S606 - it becomes nodes.py
        os._exit(0)
    os.waitpid(child, 0)


if __name__ == "__main__":
    main()
