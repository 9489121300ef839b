"""Runs one graph after the other in a worker thread and tells the clients about it."""

from __future__ import annotations

import logging
import sys
import time
import traceback
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from .events import Hub
from .image_nodes import IMAGE_NODES
from .job_queue import Job, JobQueue
from .mask_nodes import MASK_NODES
from .model_nodes import MODEL_NODES
from .node_contract import NodeContract
from .node_run import Interrupted, NodeResult, NodeRun, NotModelled, Setup
from .result_cache import Entry, ResultCache, is_link, keys_of
from .schedule import Schedule

_log = logging.getLogger(__name__)

NODE_FUNCTIONS = IMAGE_NODES | MASK_NODES | MODEL_NODES


@dataclass
class _Run:
    """One graph on its way: what clients were told, and what the nodes gave so far."""

    prompt_id: str
    graph: dict[str, Any]
    client: str | None
    extra_pnginfo: dict[str, Any] | None
    keys: dict[str, str] = field(default_factory=dict)
    results: dict[str, Entry] = field(default_factory=dict)
    ui: dict[str, dict[str, Any]] = field(default_factory=dict)
    progress: dict[str, dict[str, Any]] = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


class Executor:
    def __init__(self, setup: Setup, contract: NodeContract, queue: JobQueue, hub: Hub) -> None:
        self._setup = setup
        self._contract = contract
        self._queue = queue
        self._hub = hub
        self._cache = ResultCache(setup.options)
        # Who is being served and with which node: a client that reconnects is told.
        self.client: str | None = None
        self.node: str | None = None

    def work(self) -> None:
        """Takes jobs for ever."""
        while True:
            taken = self._queue.take()
            if taken is not None:
                ticket, job = taken
                started = time.perf_counter()
                run, success = self._run(job)
                outputs = {node_id: info["output"] for node_id, info in run.ui.items()}
                meta = {node_id: info["meta"] for node_id, info in run.ui.items()}
                status = {
                    "status_str": "success" if success else "error",
                    "completed": success,
                    "messages": run.messages,
                }
                self._queue.finish(ticket, {"outputs": outputs, "meta": meta}, status)
                if run.client is not None:
                    self._hub.send("executing", {"node": None, "prompt_id": run.prompt_id}, run.client)
                _log.info("Prompt executed in %.2f seconds", time.perf_counter() - started)
            if self._queue.take_flags().get("free_memory"):
                self._cache.clear()

    def _run(self, job: Job) -> tuple[_Run, bool]:
        _, prompt_id, graph, extra, outputs = job
        run = _Run(prompt_id, graph, extra.get("client_id"), extra.get("extra_pnginfo"))
        self._setup.interrupt.clear()
        self.client = run.client
        self._tell(run, "execution_start", {"prompt_id": prompt_id})
        run.keys = keys_of(graph, self._contract, self._setup.folders)
        self._cache.start_run(run.keys.values())
        cached = [node_id for node_id in graph if self._cache.get(run.keys[node_id]) is not None]
        self._tell(run, "execution_cached", {"nodes": cached, "prompt_id": prompt_id})
        for node_id in cached:
            entry = self._cache.get(run.keys[node_id])
            if entry is not None:
                run.results[node_id] = entry
        schedule = Schedule(
            graph,
            outputs,
            lambda node_id: node_id in cached,
            lambda node_id: self._contract.is_output_node(graph[node_id]["class_type"]),
        )
        success = True
        while schedule and success:
            node_id = schedule.next()
            success = self._run_node(run, node_id)
            if success:
                schedule.done(node_id)
        if success:
            self._tell(run, "execution_success", {"prompt_id": prompt_id})
        self.node = None
        return run, success

    def _run_node(self, run: _Run, node_id: str) -> bool:
        if node_id in run.results:
            self._show(run, node_id, run.results[node_id])
            self._progress(run, node_id, 1, 1, "finished")
            return True
        class_type = run.graph[node_id]["class_type"]
        inputs: dict[str, Any] = {}
        try:
            self._progress(run, node_id, 0.0, 1.0, "running")
            inputs = self._inputs(run, node_id)
            if run.client is not None:
                self.node = node_id
                told = {"node": node_id, "display_node": node_id, "prompt_id": run.prompt_id}
                self._hub.send("executing", told, run.client)
            if self._setup.interrupt.is_set():
                raise Interrupted
            result = self._call(run, node_id, class_type, inputs)
        except Interrupted:
            _log.info("Processing interrupted")
            details = self._where(run, node_id, class_type)
            self._tell(run, "execution_interrupted", details, to_all=True)
            return False
        except Exception as error:
            _log.error("!!! Exception during processing !!! %s", error)
            _log.error(traceback.format_exc())
            self._tell(run, "execution_error", self._failure(run, node_id, class_type, inputs, error))
            return False
        entry = Entry(result.outputs, result.ui)
        run.results[node_id] = entry
        self._show(run, node_id, entry)
        self._cache.put(run.keys[node_id], entry)
        total = run.progress[node_id]["max"]
        self._progress(run, node_id, total, total, "finished")
        run.executed.append(node_id)
        return True

    def _inputs(self, run: _Run, node_id: str) -> dict[str, Any]:
        node = run.graph[node_id]
        known = self._contract.inputs(node["class_type"])
        inputs = {}
        for name, value in node["inputs"].items():
            if name in known:
                inputs[name] = run.results[value[0]].outputs[value[1]] if is_link(value) else value
        return inputs

    def _call(self, run: _Run, node_id: str, class_type: str, inputs: dict[str, Any]) -> NodeResult:
        function = NODE_FUNCTIONS.get(class_type)
        if function is None:
            raise NotModelled(f"simulator: node class {class_type} is not modelled")

        def report(value: int, total: int, preview: Image.Image | None = None, whole: bool = False) -> None:
            if self._setup.interrupt.is_set():
                raise Interrupted
            self._progress(run, node_id, value, total, "running")
            told = {"value": value, "max": total, "prompt_id": run.prompt_id, "node": node_id}
            self._hub.send("progress", told, run.client)
            if preview is not None:
                names = _names_of(node_id)
                metadata = {"node_id": node_id, "prompt_id": run.prompt_id, **names}
                largest = None if whole else self._setup.options.preview_size
                self._hub.send_preview(preview, largest, metadata, run.client)

        return function(NodeRun(self._setup, run.graph, run.extra_pnginfo, report), **inputs)

    def _show(self, run: _Run, node_id: str, entry: Entry) -> None:
        if entry.ui is None:
            return
        meta = {"node_id": node_id, "display_node": node_id, "parent_node": None, "real_node_id": node_id}
        run.ui[node_id] = {"meta": meta, "output": entry.ui}
        if run.client is not None:
            told = {
                "node": node_id,
                "display_node": node_id,
                "output": entry.ui,
                "prompt_id": run.prompt_id,
            }
            self._hub.send("executed", told, run.client)

    def _progress(self, run: _Run, node_id: str, value: float, total: float, state: str) -> None:
        run.progress[node_id] = {
            "value": value,
            "max": total,
            "state": state,
            "node_id": node_id,
            "prompt_id": run.prompt_id,
            **_names_of(node_id),
        }
        # A job without client_id is nobody's in particular: its progress goes to everybody.
        self._hub.send(
            "progress_state", {"prompt_id": run.prompt_id, "nodes": dict(run.progress)}, run.client
        )

    def _tell(self, run: _Run, event: str, data: dict[str, Any], to_all: bool = False) -> None:
        data = {**data, "timestamp": int(time.time() * 1000)}
        run.messages.append((event, data))
        if run.client is not None or to_all:
            self._hub.send(event, data, run.client)

    def _where(self, run: _Run, node_id: str, class_type: str) -> dict[str, Any]:
        return {
            "prompt_id": run.prompt_id,
            "node_id": node_id,
            "node_type": class_type,
            "executed": list(run.executed),
        }

    def _failure(
        self, run: _Run, node_id: str, class_type: str, inputs: dict[str, Any], error: Exception
    ) -> dict[str, Any]:
        kind = type(error)
        module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
        return {
            **self._where(run, node_id, class_type),
            "exception_message": f"{error}\n",
            "exception_type": f"{module}{kind.__qualname__}",
            "traceback": traceback.format_tb(sys.exc_info()[2]),
            "current_inputs": {name: [_plain(value)] for name, value in inputs.items()},
            "current_outputs": list(run.graph),
        }


def _names_of(node_id: str) -> dict[str, Any]:
    """A node's other names; they differ only inside subgraphs, which are not simulated."""
    return {"display_node_id": node_id, "parent_node_id": None, "real_node_id": node_id}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
