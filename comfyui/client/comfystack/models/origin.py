"""Where a file really comes from: redirects followed here, so that a token goes to the host it was made for alone."""

from __future__ import annotations

import email.utils
import http.client
import re
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import urljoin, urlsplit

from ..errors import AuthenticationError, ComfyError
from .errors import BusyError, SourceError

_SECONDS = 30  # for an answer's head; the transfer has limits of its own
_REDIRECTS = 10


@dataclass(frozen=True)
class Origin:
    """An address that answers with the file itself. `token` says that this answer needed the token."""

    url: str
    size: int | None
    ranges: bool
    token: bool


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def opener(ca_file: str | None) -> urllib.request.OpenerDirector:
    """Opens without following redirects. Proxies come from the environment, as they do for aria2."""
    context = ssl.create_default_context(cafile=ca_file)
    return urllib.request.build_opener(_Stay, urllib.request.HTTPSHandler(context=context))


def resolve(url: str, token: str | None, ca_file: str | None = None) -> Origin:
    """Asks for one byte. BusyError, SourceError or AuthenticationError when there is nothing to fetch."""
    opens = opener(ca_file)
    home, trusted = _host(url), token is not None
    for _ in range(_REDIRECTS):
        headers = {"Range": "bytes=0-0", "Accept-Encoding": "identity", "User-Agent": "comfystack"}
        if trusted:
            headers["Authorization"] = f"Bearer {token}"
        try:
            with opens.open(urllib.request.Request(url, headers=headers), timeout=_SECONDS) as answer:  # noqa: S310
                return _origin(url, answer.status, answer.headers, trusted)
        except urllib.error.HTTPError as error:
            with error:
                target = error.headers.get("Location")
                if error.code not in (301, 302, 303, 307, 308) or not target:
                    raise refusal(url, error.code, error.headers, token is not None) from None
            onward = urljoin(url, target)
            if urlsplit(onward).scheme not in ("http", "https") or (
                urlsplit(url).scheme == "https" and urlsplit(onward).scheme == "http"
            ):
                raise SourceError(
                    f"{_shown(url)} redirects to {_shown(onward)}",
                    "https all the way",
                    "use a mirror that has the file itself",
                ) from None
            url = onward
            # Once away, always away: a way back was written by the other host.
            trusted = trusted and _host(url) == home
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise unreachable(url, str(reason) or type(error).__name__) from None
    raise SourceError(
        f"{_shown(url)} is the end of {_REDIRECTS} redirects", "the file", "check the source or the mirror"
    )


def _origin(url: str, status: int, headers: Message, trusted: bool) -> Origin:
    if status == 206:
        match = re.fullmatch(r"bytes 0-0/(\d+)", headers.get("Content-Range", ""))
        return Origin(url, int(match[1]) if match else None, True, trusted)
    length = headers.get("Content-Length", "")
    return Origin(url, int(length) if length.isdigit() else None, False, trusted)


def refusal(url: str, status: int, headers: Message, with_token: bool) -> ComfyError:
    """What an answer that is not the file means."""
    found = f"{_shown(url)} answered {status}"
    if status in (401, 403):
        return AuthenticationError(
            f"{found}, {'in spite of the token' if with_token else 'without a token'}",
            "the file",
            "accept the file's terms with the account of the token, or correct --token-file"
            if with_token
            else "put a token that may read the file into a file and name it with --token-file",
        )
    if status == 429 or status >= 500:
        wait = _retry_after(headers.get("Retry-After", ""))
        return BusyError(
            found + (f", to come back in {wait:.0f} s" if wait else ""),
            "the file",
            "run this again later: it goes on where it is; or name a mirror with --mirror",
            wait,
        )
    return SourceError(
        found,
        "the file",
        "look whether source, revision and path of the models lock are right; or name a mirror with --mirror",
    )


def unreachable(url: str, reason: str) -> BusyError:
    """Nothing answered: worth another try, as a busy server is."""
    return BusyError(
        f"{_shown(url)} cannot be reached: {reason}",
        "the file",
        "check name, network and proxy; --ca-file names an authority of your own; --mirror names another place",
        None,
    )


def _retry_after(text: str) -> float | None:
    """Seconds, or a date."""
    if text.strip().isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _host(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _shown(url: str) -> str:
    """Without the query: signed addresses carry secrets there."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
