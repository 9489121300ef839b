"""The three helpers of the course's notebooks, as thin functions over ComfyClient. They need the extra `pictures`."""

from __future__ import annotations

import copy
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import pictures, settings
from .client import ComfyClient
from .events import Graph, Progress
from .progress import describe

if TYPE_CHECKING:
    from PIL.Image import Image

# Seconds: the notebook's own default. A first run that loads the models takes longer on some cards.
MAX_WAIT = 300.0


def connect(access: str | None = None) -> ComfyClient:
    """The client of the service that a deployment's access.json names, or the environment's COMFYSTACK_… variables."""
    found = settings.resolve({"access": access}, os.environ, lambda text: print(text, file=sys.stderr))
    return ComfyClient(found.url, found.token, found.ca_file, found.connect_to)


def execute_workflow(
    client: ComfyClient,
    workflow_json: Graph,
    wait_for_completion: bool = True,
    max_wait: float = MAX_WAIT,
    verbose: bool = True,
) -> dict[str, Any]:
    """Run a workflow; {"images": [PIL.Image], "count", "time" (seconds), "prompt_id"}.

    Without waiting: {"prompt_id", "status": "queued"}. Errors are those of `ComfyClient.run`.
    """
    pictures.needed()
    if not wait_for_completion:
        return {"prompt_id": client.submit(workflow_json), "status": "queued"}
    begin = time.monotonic()
    result = client.run(workflow_json, _teller() if verbose else None, timeout=max_wait)
    seconds = time.monotonic() - begin
    images = [pictures.opened(client.view(image)) for image in result.images]
    return {"images": images, "count": len(images), "time": seconds, "prompt_id": result.prompt_id}


def generate_variations(
    client: ComfyClient, base_workflow: Graph, param_variations: Iterable[Any], param_path: Sequence[str]
) -> list[tuple[Any, Image]]:
    """One picture for each value at `param_path`, for example ("sampler", "inputs", "steps")."""
    made = []
    for value in param_variations:
        image = execute_workflow(client, changed(base_workflow, {tuple(param_path): value}), verbose=False)
        made.append((value, image["images"][0]))
    return made


def compare_prompts_and_params(
    client: ComfyClient,
    base_workflow: Graph,
    prompts: Iterable[str],
    steps_list: Sequence[int],
    cfg_list: Sequence[float],
) -> list[dict[str, Any]]:
    """One picture for each combination: [{"prompt", "steps", "cfg", "image", "time"}]; of a shipped workflow."""
    # The shipped graphs call these nodes so; CLIPTextEncode says `text`, Qwen's encoder `prompt`.
    field = "text" if "text" in base_workflow["positive"]["inputs"] else "prompt"
    made = []
    for prompt in prompts:
        for steps in steps_list:
            for cfg in cfg_list:
                values: Mapping[tuple[str, ...], Any] = {
                    ("positive", "inputs", field): prompt,
                    ("sampler", "inputs", "steps"): steps,
                    ("sampler", "inputs", "cfg"): cfg,
                }
                done = execute_workflow(client, changed(base_workflow, values), verbose=False)
                row = {"prompt": prompt, "steps": steps, "cfg": cfg, "time": done["time"]}
                made.append({**row, "image": done["images"][0]})
    return made


def changed(workflow: Graph, values: Mapping[tuple[str, ...], Any]) -> Graph:
    """A copy of `workflow` with the value at each path; KeyError where a path leads nowhere."""
    graph = copy.deepcopy(workflow)
    for path, value in values.items():
        place: Any = graph
        for key in path[:-1]:
            place = place[key]
        if path[-1] not in place:
            raise KeyError(f"{'.'.join(path)} is not in the workflow: it has {', '.join(place)}")
        place[path[-1]] = value
    return graph


def _teller() -> Callable[[Progress], None]:
    last = [""]

    def tell(progress: Progress) -> None:
        text = describe(progress)
        if text != last[0]:
            last[0] = text
            print(text, flush=True)

    return tell
