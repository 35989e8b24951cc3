"""Answers as JSON, in one shape: compact, UTF-8, money and times already written as text by whoever made them."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import to_json
from starlette.responses import Response

CONTENT_TYPE: Final = "application/json"


def json_response(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`data` as JSON; UUIDs are taken too."""
    return Response(to_json(data), status, headers, CONTENT_TYPE)


def no_content() -> Response:
    """204: done, and there is nothing to say."""
    return Response(status_code=204)
