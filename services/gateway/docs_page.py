"""`/docs`: every route on one page, from the OpenAPI document. Plain HTML without scripts or external resources."""

import base64
import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from fastapi import FastAPI, Response

STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b}"
    "code,pre{font-family:ui-monospace,monospace;background:#f3f3f3}pre{padding:.6rem;overflow-x:auto}"
    "summary{cursor:pointer;padding:.2rem 0}details{border-bottom:1px solid #ddd}"
    "table{border-collapse:collapse}td,th{text-align:left;padding:.1rem .8rem .1rem 0;vertical-align:top}"
)
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(sha256(STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def add_to(app: FastAPI, vendors: Sequence[str]) -> None:
    """Serve the page at `/docs`. `vendors` are the names of the vendors with a facade."""

    async def docs() -> Response:
        return Response(
            page(app.openapi(), vendors),
            headers={"Content-Security-Policy": POLICY},
            media_type="text/html; charset=utf-8",
        )

    app.add_api_route("/docs", docs, include_in_schema=False)


def page(document: Mapping[str, Any], vendors: Sequence[str]) -> str:
    """Render the OpenAPI document as an HTML page."""
    info = document["info"]
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tag = next(iter(operation.get("tags", ())), "other")
            by_tag.setdefault(tag, []).append("".join(_operation(method, path, operation)))
    parts = [f"<h2>{html.escape(tag)}</h2>{''.join(operations)}" for tag, operations in by_tag.items()]
    title = html.escape(f"{info['title']} {info['version']}")
    *first, last = vendors
    listed = f"{', '.join(first)} and {last}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head>"
        f"<body><h1>{title}</h1><p>{_prose(info.get('description', ''))}</p>"
        "<p>Send an API key as <code>Authorization: Bearer KEY</code>, as <code>X-API-Key</code> or as the password of "
        "Basic authentication. Create one with <code>couponry keys create</code>. Couponry also serves the APIs of "
        f"{html.escape(listed)}: see docs/gateway in the repository.</p>"
        '<p>All fields of all requests and responses: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1).</p>'
        f"{''.join(parts)}</body></html>"
    )


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    summary = html.escape(operation.get("summary", ""))
    yield f"<details><summary><code>{html.escape(f'{method.upper()} {path}')}</code> {summary}</summary>"
    yield f"<p>{_prose(operation.get('description', ''))}</p>"
    parameters = operation.get("parameters", ())
    if parameters:
        rows = "".join(
            f"<tr><td><code>{html.escape(one['name'])}</code></td><td>{html.escape(one['in'])}</td>"
            f"<td>{_prose(one.get('description') or one.get('schema', {}).get('description', ''))}</td></tr>"
            for one in parameters
        )
        yield f"<table>{rows}</table>"
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Body, <code>{html.escape(kind)}</code>{_schema(content)}</p>"
        example = content.get("example")
        if example is not None:
            text = example if isinstance(example, str) else json.dumps(example, indent=2, ensure_ascii=False)
            yield f"<pre>{html.escape(text)}</pre>"
    rows = "".join(
        f"<tr><td>{html.escape(status)}</td><td>{_prose(response.get('description', ''))}</td>"
        f"<td>{''.join(_schema(content) for content in response.get('content', {}).values())}</td></tr>"
        for status, response in sorted(operation.get("responses", {}).items())
    )
    yield f"<table>{rows}</table></details>"


def _prose(text: str) -> str:
    """Escape a string, and mark text between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _schema(content: Mapping[str, Any]) -> str:
    name = str(content.get("schema", {}).get("$ref", "")).rpartition("/")[2]
    return f" <code>{html.escape(name)}</code>" if name else ""
