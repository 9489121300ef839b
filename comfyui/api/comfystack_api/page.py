"""`/v1/docs`: the OpenAPI description as a page that needs no script, nothing from elsewhere, and no further route."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse, Response

from . import signin


def routes(app: FastAPI) -> APIRouter:
    """The entrance lets nobody in without a token or a session."""
    router = APIRouter(include_in_schema=False)

    @router.get("/v1/docs")
    async def page() -> Response:
        return HTMLResponse(
            signin.page("The service's own routes", _body(app.openapi())), 200, signin.HEADERS
        )

    return router


def _body(description: dict[str, Any]) -> str:
    parts = ['<p>As <a href="/v1/openapi.json">OpenAPI</a>, for programs.</p>']
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            parts.append(f"<h2><code>{method.upper()} {escape(path)}</code></h2>")
            parts.append(f"<p>{escape(operation.get('description') or operation.get('summary', ''))}</p>")
            parts.append(_fields(operation))
            parts.append(_answers(operation["responses"]))
    return "\n".join(parts)


def _fields(operation: dict[str, Any]) -> str:
    rows = []
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = content["schema"]
        for name, field in schema.get("properties", {}).items():
            facts = [escape(f"{key}: {value}") for key, value in field.items() if key != "items"]
            needed = "required; " if name in schema.get("required", ()) else ""
            rows.append(f"<li><code>{escape(name)}</code>: {needed}{'; '.join(facts)}</li>")
        rows.insert(0, f"<p>{escape(kind)}</p><ul>")
        rows.append("</ul>")
    return "\n".join(rows)


def _answers(responses: dict[str, Any]) -> str:
    rows = [f"<li>{escape(status)}: {escape(one['description'])}</li>" for status, one in responses.items()]
    return f"<p>Answers</p><ul>{''.join(rows)}</ul>"
