"""The pages for people: a token for a session, and the way out of it."""

from __future__ import annotations

import html
from base64 import b64encode
from hashlib import sha256
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from . import answers, rules, sessions
from .gate import MESSAGES, Gate
from .heads import question_of

FORM_BYTES = 4096
WRONG = "This token is not valid."
EXPIRED = "This token has expired. Ask whoever gave it to you for another."

_STYLE = """
 body { font: 16px/1.5 system-ui, sans-serif; max-width: 24rem; margin: 4rem auto; padding: 0 1rem; }
 label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit; }
 input, button { margin: .5rem 0 1rem; padding: .5rem; }
 [role=alert] { border-left: .25rem solid #b00020; padding-left: .75rem; }
 @media (prefers-color-scheme: dark) { body { background: #202020; color: #fff; } }
"""
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    # Not `no-referrer`: browsers then hide the form's origin, and it could not be told from another site's.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""
_FORM = """{alert}
<form method="post" action="/login">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<input name="next" type="hidden" value="{next}">
<button>Sign in</button>
</form>
<p>The operator of this service hands tokens out.</p>
"""
_SIGNED_IN = """<p>Signed in as {name}.</p>
<p><a href="/">Open ComfyUI</a></p>
<form method="post" action="/logout"><button>Sign out</button></form>
"""


def page(title: str, body: str) -> str:
    """A page of this service; `body` is markup."""
    return _PAGE.format(title=title, style=_STYLE, body=body)


def local(target: str) -> str:
    """Where to go after signing in: a path of this site, or the start page for anything else."""
    plain = rules.well_formed(target) and not target.startswith("//")
    return target if plain and not target.startswith(("/login", "/logout")) else "/"


def _form(target: str, message: str = "", status: int = 200, retry: int = 0) -> HTMLResponse:
    alert = f'<p role="alert">{html.escape(message)}</p>' if message else ""
    body = _FORM.format(alert=alert, next=html.escape(local(target)))
    headers = {**HEADERS, "Retry-After": str(retry)} if retry else HEADERS
    return HTMLResponse(page("Sign in", body), status, headers)


def routes(gate: Gate) -> APIRouter:
    """`/login` and `/logout`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/login")
    async def shown(request: Request) -> Response:
        question = question_of(request)
        here = gate.sessions.find(sessions.of_cookies(question.headers.get("cookie", "")))
        ended = here is not None and gate.tokens.ended(here)
        if here is None or ended:
            return _form(request.query_params.get("next", "/"), EXPIRED if ended else "")
        body = _SIGNED_IN.format(name=html.escape(here.name))
        return HTMLResponse(page("Signed in", body), 200, HEADERS)

    @router.post("/login")
    async def sign_in(request: Request) -> Response:
        question = question_of(request)
        body = await _small_body(request)
        if body is None:
            return answers.error(413, "too_large", f"a sign-in has at most {FORM_BYTES} bytes")
        fields = parse_qs(body.decode("ascii", errors="replace"), keep_blank_values=True)
        target = fields.get("next", ["/"])[0]
        decision = gate.sign_in(question, fields.get("token", [""])[0].strip())
        if decision.ok and decision.token is not None:
            secret = gate.sessions.begin(decision.token)
            headers = {
                "Set-Cookie": sessions.cookie(secret, gate.sessions.seconds),
                "Cache-Control": "no-store",
            }
            return RedirectResponse(local(target), 303, headers)
        told = {"no-token": WRONG, "unknown-token": WRONG, "expired-token": EXPIRED}
        message = told.get(decision.reason, MESSAGES[decision.reason])
        return _form(target, message, decision.status, decision.wait)

    @router.post("/logout")
    async def sign_out(request: Request) -> Response:
        question = question_of(request)
        decision = gate.own(question)
        if decision.reason == "other-origin":
            return answers.refusal(decision, question)
        gate.sessions.end(sessions.of_cookies(question.headers.get("cookie", "")))
        gone = {"Set-Cookie": sessions.cookie("", 0), "Cache-Control": "no-store"}
        return RedirectResponse("/login", 303, gone)

    return router


async def _small_body(request: Request) -> bytes | None:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > FORM_BYTES:
            return None
    return body
