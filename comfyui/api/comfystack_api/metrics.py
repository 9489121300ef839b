"""What Prometheus gets to see: counted here, and asked of ComfyUI when somebody looks."""

from __future__ import annotations

import re
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

# Seconds: a Lightning edit on a fast card, up to a first run behind a load from disk.
_BUCKETS = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
# torch's name of a device, as ComfyUI shows it: "cuda:0 NVIDIA GeForce RTX 3090 : cudaMallocAsync".
_DEVICE = re.compile(r"(?:\w+:\d+ )?(?P<name>.*?)(?: : \w+)?")


class Metrics:
    """One registry for one service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._seconds = Histogram(
            "comfystack_job_seconds",
            "Seconds that a finished job of /v1/images ran, without the queue.",
            ["workflow"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._failures = Counter(
            "comfystack_job_failures",
            "Jobs of /v1/images that brought no picture, by the code of their error.",
            ["type"],
            registry=self._registry,
        )
        self._up = self._gauge("comfystack_comfyui_up", "1 when ComfyUI answers, else 0.")
        self._queue = self._gauge("comfystack_queue_jobs", "Jobs of everybody at ComfyUI.", "state")
        gpu = ("gpu", "device")
        self._total = self._gauge("comfystack_gpu_memory_total_bytes", "Memory of the card.", *gpu)
        self._free = self._gauge("comfystack_gpu_memory_free_bytes", "Of that, free.", *gpu)

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(name, what, labels, registry=self._registry)

    def ended(self, workflow: str, seconds: float, code: str) -> None:
        """A job is over; `code` is that of its error, or "" when it brought a picture."""
        if code:
            self._failures.labels(code).inc()
        else:
            self._seconds.labels(workflow).observe(seconds)

    def text(self, queue: dict[str, Any] | None, stats: dict[str, Any] | None) -> bytes:
        """All of it, with ComfyUI's /queue and /system_stats; None where it does not answer."""
        self._up.set(queue is not None and stats is not None)
        for gauge in (self._queue, self._total, self._free):
            gauge.clear()
        if queue is not None:
            for state in ("running", "pending"):
                self._queue.labels(state).set(len(queue.get(f"queue_{state}") or ()))
        for device in (stats or {}).get("devices") or ():
            found = _DEVICE.fullmatch(str(device.get("name", "")))
            labels = (found["name"] if found else "", str(device.get("index", "")))
            self._total.labels(*labels).set(device.get("vram_total") or 0)
            self._free.labels(*labels).set(device.get("vram_free") or 0)
        return generate_latest(self._registry)
