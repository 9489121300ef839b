"""The two folders that this service shares with ComfyUI: uploads go into one, results come out of the other.

They are folders of ComfyUI's own `input` and `output`, for this service alone: what is in them is never left there, so
that nobody finds another's pictures, and nothing is to be tidied up in ComfyUI's own folders.
"""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

from comfystack.events import Graph, ImageRef, Result

from .refusals import Refused

# Their name inside ComfyUI's folders; compose/api.yml.j2 mounts them.
FOLDER = "api"
_OURS = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(-[a-z0-9]+|_\d+_)\.[a-z]+")


class Exchange:
    """Files by the id of the job that they belong to."""

    def __init__(self, incoming: Path, outgoing: Path) -> None:
        self._incoming, self._outgoing = incoming, outgoing

    def give(self, key: str, name: str, suffix: str, content: bytes) -> ImageRef:
        """Lays an upload down for LoadImage. Its name is ours: an uploader's could lead anywhere."""
        file = self._incoming / f"{key}-{name}.{suffix}"
        try:
            file.write_bytes(content)
            file.chmod(0o644)
        except OSError as error:
            found = f"the upload cannot be kept: {error.strerror}; the operator looks at api's folders"
            raise Refused(502, "upload_unwritable", found) from None
        return ImageRef(file.name, FOLDER, "input")

    def mark(self, kind: str, key: str) -> ImageRef | None:
        """An empty file in our folder of that kind, if we have one: what leads there is a way."""
        folder = {"input": self._incoming, "output": self._outgoing}.get(kind)
        if folder is None:
            return None
        file = folder / f"{key}-mark.txt"
        file.touch(0o644)
        return ImageRef(file.name, FOLDER, kind)

    def expect(self, graph: Graph, job: str) -> None:
        """Results of this graph come into our folder, under a name that nobody guesses."""
        for node in graph.values():
            if node["class_type"] == "SaveImage":
                node["inputs"]["filename_prefix"] = f"{FOLDER}/{job}"

    def take(self, result: Result, target: Path) -> None:
        """Moves the picture of a finished job away from ComfyUI. Raises Refused where it is not there."""
        for image in result.images:
            if image.type == "output" and image.subfolder == FOLDER and _OURS.fullmatch(image.filename):
                try:
                    shutil.move(self._outgoing / image.filename, target)
                except OSError as error:
                    found = (
                        f"the result cannot be read: {error.strerror}; the operator looks at api's folders"
                    )
                    raise Refused(502, "result_missing", found) from None
                return
        raise Refused(502, "result_missing", "the job ended without a picture")

    def clear(self, key: str) -> None:
        """Removes what was laid down under this key, and what its job left."""
        for folder in (self._incoming, self._outgoing):
            for file in folder.glob(f"{key}*"):
                file.unlink(missing_ok=True)

    def sweep(self, older_than: float) -> None:
        """Removes files of ours that nobody waits for any more: older than any request lives, in seconds."""
        before = time.time() - older_than
        for folder in (self._incoming, self._outgoing):
            for file in folder.iterdir() if folder.is_dir() else ():
                if _OURS.fullmatch(file.name) and file.stat().st_mtime < before:
                    file.unlink(missing_ok=True)
