"""Bodies and query strings: from bytes to a checked model, or to a refusal that names every wrong field.

415 for another content type, 400 for what is not JSON, 422 for JSON that is not what the model says. The answer
never repeats what was sent.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, from_json
from starlette.requests import Request

from sema_common.values.errors import FieldError, Refused

MAX_ERRORS: Final = 100
"""Wrong fields that are listed; a batch of a thousand wrong items needs no more to be understood."""

# Codes of the contract for pydantic's error types. A validator of ours raises PydanticCustomError with its own code.
_CODES: Final[dict[str, str]] = {
    "missing": "required",
    "extra_forbidden": "unknown_field",
    "literal_error": "invalid_choice",
    "enum": "invalid_choice",
    "string_too_short": "too_short",
    "string_too_long": "too_long",
    "too_short": "too_short",
    "too_long": "too_long",
    "greater_than": "out_of_range",
    "greater_than_equal": "out_of_range",
    "less_than": "out_of_range",
    "less_than_equal": "out_of_range",
    "value_error": "invalid",
}


class Body(BaseModel):
    """Base of every body: frozen, and a field that it does not know is refused by name.

    Built when it is first used (on the event loop, as all of them), like queries and answers: hundreds of models of
    which a process may never see one took 2 MB of each.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, str_max_length=100_000, defer_build=True
    )


class Query(BaseModel):
    """Base of every query string: values arrive as text and are converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)


M = TypeVar("M", bound=BaseModel)


async def read_body(request: Request, model: type[M]) -> M:
    """The body of this request as `model`; Refused with 400, 415 or 422."""
    require_json(request)
    return parse_body(await request.body(), model)


def require_json(request: Request) -> None:
    """Refused(415) unless the body says that it is JSON, in UTF-8 where it names a charset."""
    value = request.headers.get("content-type", "")
    if value == "application/json":
        return
    kind, _, parameters = value.partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if kind.strip().lower() != "application/json" or charset not in ("", "charset=utf-8", "charset=utf8"):
        detail = "The body must be JSON, with Content-Type: application/json."
        raise Refused("unsupported_media_type", detail, 415, headers={"accept": "application/json"})


def parse_body(raw: bytes, model: type[M]) -> M:
    """`raw` as `model`; Refused with 400 (not JSON) or 422 (not the model)."""
    if b"\\u0000" in raw:
        _refuse_nul(raw)
    try:
        return model.model_validate_json(raw)
    except ValidationError as exc:
        raise refusal(exc) from None


def parse_value(value: Any, model: type[M]) -> M:
    """An already parsed value as `model`, for items of a batch that stand alone."""
    try:
        return model.model_validate(value)
    except ValidationError as exc:
        raise refusal(exc) from None


def parse_json(raw: bytes) -> Any:
    """`raw` as plain JSON; Refused(400)."""
    try:
        return from_json(raw, allow_inf_nan=False)
    except ValueError:
        raise malformed() from None


def read_query(request: Request, model: type[M]) -> M:
    """The query string as `model`; Refused(422). A parameter given twice is refused."""
    items = request.query_params.multi_items()
    values = dict(items)
    if len(values) != len(items):
        raise Refused("validation_failed", "A query parameter is given more than once.", 422)
    wrong = [name for name, value in items if "\x00" in value]
    if wrong:
        raise invalid([FieldError(name, "invalid_characters", "NUL is no text.") for name in wrong])
    return parse_value(values, model)


def malformed() -> Refused:
    """The body is no JSON at all."""
    return Refused("malformed_body", "The body is not valid JSON in UTF-8.", 400)


def invalid(errors: list[FieldError]) -> Refused:
    """422 with what is wrong in which field."""
    return Refused("validation_failed", "Some fields are not valid: see `errors`.", 422, errors)


def refusal(exc: ValidationError) -> Refused:
    """What pydantic found, in the words of the contract."""
    found = exc.errors(include_url=False, include_input=False, include_context=False)
    if found[0]["type"] == "json_invalid":
        return malformed()
    return invalid([_field_error(error) for error in found[:MAX_ERRORS]])


def _field_error(error: ErrorDetails) -> FieldError:
    kind = error["type"]
    code = _CODES.get(kind)
    if code is None:
        code = "wrong_type" if kind.endswith(("_type", "_parsing")) else kind
    detail = error["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        detail = "This field is not known here."
    return FieldError(".".join(map(str, error["loc"])), code, detail)


def _refuse_nul(raw: bytes) -> None:
    """Postgres holds no NUL in text, and no SMS has one: name the fields that do."""
    found: list[str] = []
    _find_nul(parse_json(raw), "", found)
    if found:
        raise invalid([FieldError(f, "invalid_characters", "NUL is no text.") for f in found[:MAX_ERRORS]])


def _find_nul(value: Any, path: str, found: list[str]) -> None:
    if isinstance(value, str):
        if "\x00" in value:
            found.append(path)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            where = f"{path}.{key}" if path else key
            if "\x00" in key:
                found.append(where.replace("\x00", ""))
            _find_nul(item, where, found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _find_nul(item, f"{path}.{index}" if path else str(index), found)
