"""The OpenAPI 3.1 document, out of the operations themselves: what the router obeys is what the reader sees."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from sema_main_api.http.routing import Operation

REF: Final = "#/components/schemas/{model}"

_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "RFC 9457 problem details. `code` is stable; `detail` is for people.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "code": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "field": {"type": "string"},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}

_HEADERS: Final[dict[str, Any]] = {
    "X-Request-Id": {"description": "The caller's own id, or ours.", "schema": {"type": "string"}},
}
_IDEMPOTENCY_KEY: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes repeating this call harmless for 48 hours: the first answer is given again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}

_WEBHOOK_HEADERS: Final = {
    "webhook-id": "The same for every attempt of one delivery: take it once.",
    "webhook-timestamp": "Seconds since 1970 of this attempt; refuse what is older than five minutes.",
    "webhook-signature": "`v1,<base64>`, several by spaces while a secret is rotated: HMAC-SHA256 of "
    "`<id>.<timestamp>.<body>` (Standard Webhooks).",
}

_TABLES: Final[dict[str, dict[str, Any]]] = {
    "text/csv": {"type": "string", "description": "A table in UTF-8; its first row names the columns."},
    "multipart/form-data": {
        "type": "object",
        "description": "A form whose one part, whatever its name, is the table.",
        "required": ["file"],
        "properties": {"file": {"type": "string", "contentMediaType": "text/csv"}},
    },
}
"""How a table is taken, by content type."""

_FILES: Final[dict[str, dict[str, Any]]] = {
    "text/csv": {"type": "string", "description": "A table in UTF-8; its first row names the columns."},
    "application/pdf": {"type": "string", "contentMediaType": "application/pdf"},
}
"""What an answer that is no JSON holds."""

COMMON_PROBLEMS: Final[dict[int, str]] = {
    500: "`internal_error`: our mistake",
    503: "`overloaded`, `unavailable`: try again; `outcome_unknown`: ask again with the same Idempotency-Key",
}


Webhooks = Mapping[str, type[BaseModel]]
"""The body of each event that customers' endpoints get, by the event's name."""

NO_WEBHOOKS: Final[Webhooks] = {}


def document(
    operations: Iterable[Operation], version: str, webhooks: Webhooks = NO_WEBHOOKS
) -> dict[str, Any]:
    """The whole document. Its models must have names of their own: a schema is called what its class is called."""
    listed = [operation for operation in operations if operation.listed]
    schemas, definitions = _schemas(listed, webhooks)
    paths: dict[str, Any] = {}
    for operation in listed:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sema Link",
            "version": version,
            "description": "Send SMS and follow each of them to the handset. JSON in and out, times in UTC, "
            "money as decimal strings, errors as RFC 9457 problems.",
        },
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in listed)],
        "security": [{"bearer": []}],
        "paths": paths,
        "webhooks": {name: {"post": _webhook(name, model, schemas)} for name, model in webhooks.items()},
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key (`sema_live_…`, `sema_test_…`) or an access token from a login.",
                }
            },
            "schemas": {"Problem": _PROBLEM, **definitions},
        },
    }


_Schemas = dict[tuple[Any, JsonSchemaMode], dict[str, Any]]


def _schemas(operations: Sequence[Operation], webhooks: Webhooks) -> tuple[_Schemas, dict[str, Any]]:
    """The schema of every model that is taken or answered, and the definitions that they refer to."""
    models: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {}
    for operation in operations:
        if operation.body is not None:
            models[operation.body, "validation"] = None
        if operation.query is not None:
            models[operation.query, "validation"] = None
        for answer in operation.answers.values():
            if answer is not None:
                models[answer, "serialization"] = None
    for event in webhooks.values():
        models[event, "serialization"] = None
    found, definitions = models_json_schema(list(models), ref_template=REF)
    return {key: dict(schema) for key, schema in found.items()}, definitions.get("$defs", {})


def _operation(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": _operation_id(operation),
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": "\n\n".join(filter(None, (operation.description, _who(operation)))),
        "parameters": _parameters(operation),
        "responses": _responses(operation, schemas),
    }
    if operation.body is not None or operation.csv:
        content = {kind: {"schema": _TABLES[kind]} for kind in operation.csv}
        if operation.body is not None:
            content = {"application/json": {"schema": schemas[operation.body, "validation"]}} | content
        described["requestBody"] = {"required": True, "content": content}
    if operation.public:
        described["security"] = []
    return described


def _webhook(name: str, model: type[BaseModel], schemas: _Schemas) -> dict[str, Any]:
    return {
        "operationId": name.replace(".", "_"),
        "summary": f"`{name}`, as an endpoint that subscribed to it gets it",
        "security": [],
        "parameters": [
            {
                "name": header,
                "in": "header",
                "required": True,
                "description": what,
                "schema": {"type": "string"},
            }
            for header, what in _WEBHOOK_HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schemas[model, "serialization"]}},
        },
        "responses": {
            "2XX": {"description": "Taken, within 10 seconds."},
            "410": {"description": "Send nothing more: the endpoint is disabled at once."},
            "default": {
                "description": "Tried again, six times in all over 24 hours. Redirects are not followed."
            },
        },
    }


def _operation_id(operation: Operation) -> str:
    words = re.findall(r"[a-z0-9]+", operation.path.removeprefix("/v1").lower())
    return "_".join((operation.method.lower(), *words))


def _who(operation: Operation) -> str:
    if operation.public:
        return ""
    if operation.personal:
        return "Whoever has logged in, staff too, for himself. No API key."
    if operation.staff:
        return f"Staff: {', '.join(sorted(operation.staff))}."
    key = f"API keys with scope `{operation.scope}`" if operation.scope else "No API key"
    return f"{key}; users: {', '.join(sorted(operation.roles))}."


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    if operation.query is not None:
        for name, field in operation.query.model_json_schema(ref_template=REF).get("properties", {}).items():
            description = field.pop("description", "")
            parameter = {"name": name, "in": "query", "required": False, "schema": field}
            found.append(parameter | ({"description": description} if description else {}))
    if operation.creates:
        found.append(_IDEMPOTENCY_KEY)
    return found


def _responses(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, model in operation.answers.items():
        answer: dict[str, Any] = {
            "description": "Done." if status < 300 else "See the Location.",
            "headers": _HEADERS,
        }
        if model is not None:
            answer["content"] = {"application/json": {"schema": schemas[model, "serialization"]}}
        elif operation.produces and status == 200:
            answer["content"] = {operation.produces: {"schema": _FILES[operation.produces]}}
        responses[str(status)] = answer
    for status, why in sorted(_problems(operation).items()):
        content = {"application/problem+json": {"schema": {"$ref": REF.format(model="Problem")}}}
        responses[str(status)] = {"description": why, "content": content, "headers": _HEADERS}
    return responses


def _problems(operation: Operation) -> dict[int, str]:
    """Every refusal of this operation: what its kind brings along, and its own."""
    found: dict[int, list[str]] = {status: [why] for status, why in COMMON_PROBLEMS.items()}

    def add(status: int, why: str) -> None:
        found.setdefault(status, []).append(why)

    if not operation.public:
        add(401, "`unauthenticated`")
        add(403, "`forbidden`, `insufficient_scope`")
    if "{" in operation.path:
        add(404, "`not_found`")
    if operation.body is not None or operation.csv:
        add(400, "`malformed_body`")
        add(413, f"`body_too_large`: over {operation.max_body} bytes")
        add(415, "`unsupported_media_type`")
    if operation.body is not None or operation.csv or operation.query is not None:
        add(422, "`validation_failed`")
    if operation.query is not None and "cursor" in operation.query.model_fields:
        add(400, "`invalid_cursor`")
    if operation.creates:
        add(400, "`invalid_idempotency_key`")
        add(409, "`idempotency_in_flight`")
        add(422, "`idempotency_key_reused`")
    for status, why in operation.problems.items():
        add(status, why)
    return {status: "; ".join(why) for status, why in found.items()}
