"""/api/jobs: queue and history seen as one list of jobs with one status each."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from .job_queue import Job, JobQueue

STATUSES = ("pending", "in_progress", "completed", "failed", "cancelled")
_PREVIEWABLE = frozenset({"images", "video", "audio", "3d", "text"})
_ENDINGS = ("execution_success", "execution_error", "execution_interrupted")


def is_job_id(value: object) -> bool:
    """Whether the value is a UUID in canonical lowercase form, the only form the server keeps."""
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value
    except ValueError:
        return False


def find_job(queue: JobQueue, job_id: str) -> dict[str, Any] | None:
    """One job with everything known about it, or None."""
    history = queue.history_of(job_id)
    if history:
        entry = history[job_id]
        graph, extra = entry["prompt"][2], entry["prompt"][3]
        return {
            **_from_history(job_id, entry),
            "outputs": entry["outputs"],
            "execution_status": entry["status"],
            "workflow": {"prompt": graph, "extra_data": extra},
        }
    for jobs, status in zip(queue.snapshot(), ("in_progress", "pending"), strict=True):
        for job in jobs:
            if job[1] == job_id:
                return _from_queue(job, status)
    return None


def list_jobs(
    queue: JobQueue,
    statuses: Iterable[str],
    workflow_id: str | None,
    sort_by: str,
    descending: bool,
    offset: int,
    limit: int | None,
) -> tuple[list[dict[str, Any]], int]:
    """(the page, the number of all matching jobs)"""
    running, pending = queue.snapshot()
    jobs = [_from_queue(job, "in_progress") for job in running]
    jobs += [_from_queue(job, "pending") for job in pending]
    jobs += [_from_history(job_id, entry) for job_id, entry in queue.history_page(None, -1).items()]
    wanted = set(statuses)
    jobs = [job for job in jobs if job["status"] in wanted]
    if workflow_id:
        jobs = [job for job in jobs if job.get("workflow_id") == workflow_id]
    jobs.sort(key=_duration if sort_by == "execution_duration" else _created, reverse=descending)
    return jobs[offset:][:limit], len(jobs)


def cancel(queue: JobQueue, job_id: str) -> bool:
    """Interrupts or dequeues; False for a finished or unknown job."""
    return queue.interrupt_running(job_id) or queue.delete(job_id) or queue.interrupt_running(job_id)


def _created(job: dict[str, Any]) -> int:
    return int(job.get("create_time", 0))


def _duration(job: dict[str, Any]) -> int:
    start, end = job.get("execution_start_time", 0), job.get("execution_end_time", 0)
    return int(end - start) if start and end else 0


def _without_none(job: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in job.items() if value is not None}


def _workflow_id(extra: dict[str, Any]) -> Any:
    return extra.get("extra_pnginfo", {}).get("workflow", {}).get("id")


def _from_queue(job: Job, status: str) -> dict[str, Any]:
    number, job_id, _, extra, _ = job
    return _without_none(
        {
            "id": job_id,
            "status": status,
            "priority": number,
            "create_time": extra.get("create_time"),
            "outputs_count": 0,
            "previewable_outputs_count": 0,
            "workflow_id": _workflow_id(extra),
        }
    )


def _from_history(job_id: str, entry: dict[str, Any]) -> dict[str, Any]:
    number, _, _, extra, _ = entry["prompt"]
    events = dict(entry["status"]["messages"])
    ending = next((name for name in _ENDINGS if name in events), None)
    if entry["status"]["status_str"] == "success":
        status = "completed"
    else:
        status = "cancelled" if ending == "execution_interrupted" else "failed"
    items = list(_items(entry["outputs"]))
    previewable = [item for item in items if item["mediaType"] in _PREVIEWABLE]
    saved = [item for item in previewable if item.get("type") == "output"]
    return _without_none(
        {
            "id": job_id,
            "status": status,
            "priority": number,
            "create_time": extra.get("create_time"),
            "execution_start_time": events.get("execution_start", {}).get("timestamp"),
            "execution_end_time": events[ending]["timestamp"] if ending else None,
            "execution_error": events.get("execution_error"),
            "outputs_count": len(items),
            "previewable_outputs_count": len(previewable),
            "preview_output": next(iter(saved or previewable), None),
            "workflow_id": _workflow_id(extra),
        }
    )


def _items(outputs: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """Every file of every node; plain texts are shown by clients but are not outputs."""
    for node_id, by_kind in outputs.items():
        for kind, items in by_kind.items():
            for item in items:
                if isinstance(item, dict):
                    yield {**item, "nodeId": node_id, "mediaType": kind}
