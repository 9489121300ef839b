"""ComfyUI as this service reaches it, on the network that only the services share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import aiohttp

# ComfyUI answers at once; a job's own time is not waited for here.
ANSWER_SECONDS = 60.0
CONNECT_SECONDS = 5.0
# A body on its way may take as long as it takes; silence may not.
_LARGE = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=ANSWER_SECONDS)


class Comfyui:
    """A few of ComfyUI's routes. Raises aiohttp.ClientError, TimeoutError or OSError when it is not there."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session: aiohttp.ClientSession | None = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS))
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, path: str, body: dict[str, Any]) -> tuple[int, str, bytes]:
        """Status, content type and body of the answer."""
        async with self._open().post(self.url + path, json=body) as answer:
            return answer.status, answer.content_type, await answer.read()

    async def upload(self, path: str, kind: str, body: AsyncIterator[bytes]) -> tuple[int, str, bytes]:
        """A body of that content type as it comes. Status, content type and body of the answer."""
        sent = self._open().post(self.url + path, data=body, headers={"Content-Type": kind}, timeout=_LARGE)
        async with sent as answer:
            return answer.status, answer.content_type, await answer.read()

    async def view(self, query: str | dict[str, str]) -> aiohttp.ClientResponse:
        """The answer to /view with that query, for the caller to read and to close."""
        if not isinstance(query, str):
            query = urlencode(query, errors="surrogateescape")
        # Its length is handed on, so it has to stay as it is.
        headers = {"Accept-Encoding": "identity"}
        return await self._open().get(f"{self.url}/view?{query}", headers=headers, timeout=_LARGE)

    async def has(self, kind: str, folder: str, name: str) -> bool:
        """Whether there is a file of that name; a folder is none."""
        async with await self.view({"filename": name, "subfolder": folder, "type": kind}) as answer:
            return answer.status == 200

    async def get(self, path: str) -> Any:
        async with self._open().get(self.url + path) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def running(self) -> list[str]:
        """The ids of the jobs that run."""
        return [str(item[1]) for item in (await self.get("/queue")).get("queue_running", [])]
