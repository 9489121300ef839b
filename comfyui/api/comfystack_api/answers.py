"""What somebody who is not let in gets to see: JSON for programs, the sign-in page for people."""

from __future__ import annotations

from urllib.parse import quote

from fastapi.responses import JSONResponse, RedirectResponse, Response

from .gate import MESSAGES, TYPES, Decision, Question, without_token


def error(
    status: int,
    kind: str,
    message: str,
    headers: dict[str, str] | None = None,
    param: str | None = None,
    code: str | None = None,
) -> JSONResponse:
    """In OpenAI's shape, whose clients read all four."""
    body = {"type": kind, "message": message, "param": param, "code": code or kind}
    return JSONResponse({"error": body}, status, headers)


def refusal(decision: Decision, question: Question) -> Response:
    """The whole answer to a request that was not let in."""
    if decision.status == 401 and _is_a_persons(question):
        target = quote(without_token(question.uri), safe="")
        return RedirectResponse(f"/login?next={target}", 303, {"Cache-Control": "no-store"})
    headers = {"Cache-Control": "no-store"}
    if decision.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="comfystack"'
    if decision.wait:
        headers["Retry-After"] = str(decision.wait)
    return error(
        decision.status, TYPES[decision.status], MESSAGES[decision.reason], headers, code=decision.reason
    )


def _is_a_persons(question: Question) -> bool:
    """Whether a browser is about to show the answer: what a page fetches by itself has no use for a sign-in page."""
    return question.method == "GET" and "text/html" in question.headers.get("accept", "").lower()
