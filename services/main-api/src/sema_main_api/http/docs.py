"""The readable page of the API at /docs: plain HTML out of the OpenAPI document, no script, no outside asset."""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Final

STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
nav a { display: inline-block; margin-right: 1rem; }
h2 { border-bottom: 1px solid var(--line); margin-top: 3rem; }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .6rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; } summary code { font-weight: 600; } summary span { opacity: .75; margin-left: .6rem; }
pre { background: var(--soft); padding: .6rem; overflow-x: auto; border-radius: .3rem; font-size: .85rem; }
table { border-collapse: collapse; width: 100%; }
td { vertical-align: top; padding: .2rem .8rem .2rem 0; }
"""
_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
CSP: Final = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{_HASH}'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


def render(document: Mapping[str, Any]) -> str:
    """The page. Everything that comes out of the document is escaped."""
    info = document["info"]
    tags = [tag["name"] for tag in document["tags"]]
    links = "".join(f'<a href="#{_anchor(tag)}">{escape(tag)}</a>' for tag in tags)
    sections = "".join(_section(document, tag) for tag in tags)
    schemas = "".join(
        f'<details id="schema-{escape(name)}"><summary><code>{escape(name)}</code></summary>{_json(schema)}</details>'
        for name, schema in document["components"]["schemas"].items()
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])} API</title><style>{STYLE}</style>"
        f"<h1>{escape(info['title'])} API {escape(info['version'])}</h1><p>{escape(info['description'])}</p>"
        f'<p>The same as a document for machines: <a href="/openapi.json">/openapi.json</a></p>'
        f"<nav>{links}<a href='#schemas'>Schemas</a></nav>{sections}"
        f'<h2 id="schemas">Schemas</h2>{schemas}</html>'
    )


def _section(document: Mapping[str, Any], tag: str) -> str:
    parts = [f'<h2 id="{_anchor(tag)}">{escape(tag)}</h2>']
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if tag in operation["tags"]:
                parts.append(_operation(f"{method.upper()} {path}", operation))
    return "".join(parts)


def _operation(name: str, operation: Mapping[str, Any]) -> str:
    parts = [
        f'<details id="{escape(operation["operationId"])}"><summary><code>{escape(name)}</code>'
        f"<span>{escape(operation['summary'])}</span></summary>"
    ]
    parts += [f"<p>{_prose(text)}</p>" for text in operation["description"].split("\n\n") if text]
    if operation["parameters"]:
        rows = (
            (p["name"], p["in"], p.get("description", "") + ("" if not p["required"] else " Required."))
            for p in operation["parameters"]
        )
        parts.append(_table("Parameters", rows))
    if body := operation.get("requestBody"):
        for kind, content in body["content"].items():
            title = "Body" if kind == "application/json" else f"or as {kind}"
            parts.append(f"<h4>{escape(title)}</h4>{_json(content['schema'])}")
    answers = ((status, "", answer["description"]) for status, answer in operation["responses"].items())
    parts.append(_table("Answers", answers))
    for status, answer in operation["responses"].items():
        if schema := answer.get("content", {}).get("application/json", {}).get("schema"):
            parts.append(f"<h4>{escape(status)}</h4>{_json(schema)}")
    return "".join(parts) + "</details>"


def _table(title: str, rows: Iterable[tuple[str, str, str]]) -> str:
    cells = "".join(
        f"<tr><td><code>{escape(a)}</code><td>{escape(b)}<td>{_prose(c)}</tr>" for a, b, c in rows
    )
    return f"<h4>{escape(title)}</h4><table>{cells}</table>"


def _prose(text: str) -> str:
    """Escaped, with `code` as code."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces))


def _json(schema: Any) -> str:
    return f"<pre>{escape(json.dumps(schema, indent=2, ensure_ascii=False))}</pre>"


def _anchor(tag: str) -> str:
    return "tag-" + "".join(c if c.isalnum() else "-" for c in tag.lower())
