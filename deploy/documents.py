"""`make openapi`: writes every file of the repository that is generated from code. A test says when one is stale."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic.fields import FieldInfo

from deploy.grafana import build
from deploy.local.services import SERVICES
from sema_common.platform.settings import RoomSettings, ServiceSettings
from sema_main_api import cli

ROOT: Final = Path(__file__).resolve().parents[1]

_SETTINGS_HEAD: Final = """# Settings

Written by `make openapi` out of each service's `settings.py`; do not edit it.

Settings are environment variables, read once at the start. A service that finds one missing or wrong names all of them
and exits with 78. An empty variable counts as not set.
"""

_SIGNS: Final[dict[type, tuple[str, str]]] = {
    Ge: ("ge", "≥ {}"), Gt: ("gt", "> {}"), Le: ("le", "≤ {}"), Lt: ("lt", "< {}"),
    MinLen: ("min_length", "≥ {} characters"), MaxLen: ("max_length", "≤ {} characters"),
}  # fmt: skip


def settings_page() -> str:
    """Every setting of every service, those that they share first."""
    parts = [_SETTINGS_HEAD, _table("Every service", RoomSettings.model_fields)]
    shared = ServiceSettings.model_fields
    parts.append(_table("Every service but dlr-webhook", _beyond(shared, RoomSettings.model_fields)))
    for service in SERVICES:
        cls: type[RoomSettings] = import_module(f"sema_{service.replace('-', '_')}.settings").Settings
        parts.append(_table(service, _beyond(cls.model_fields, shared)))
    return "\n".join(parts)


def _beyond(fields: dict[str, FieldInfo], shared: dict[str, FieldInfo]) -> dict[str, FieldInfo]:
    """What a service adds, or says otherwise than the settings that it shares."""
    return {
        name: field
        for name, field in fields.items()
        if name not in shared or field.description != shared[name].description
    }


def _table(title: str, fields: dict[str, FieldInfo]) -> str:
    rows = [("name", "default", "limits", "what it does"), ("---",) * 4]
    rows += [
        (f"`{name.upper()}`", _default(field), _limits(field), str(field.description).replace("|", "\\|"))
        for name, field in fields.items()
    ]
    return f"## {title}\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    match field.default:
        case None | "":
            return ""
        case bool(value):
            return f"`{str(value).lower()}`"
        case frozenset() as values:
            return f"`{','.join(sorted(values))}`"
        case value:
            return f"`{value}`"


def _limits(field: FieldInfo) -> str:
    found: list[Any] = field.metadata
    return ", ".join(
        text.format(getattr(rule, name))
        for rule in found
        for kind, (name, text) in _SIGNS.items()
        if type(rule) is kind
    )


DOCUMENTS: Final[dict[str, Callable[[], str]]] = {
    "docs/openapi.json": cli.openapi_text,
    "docs/roles.md": cli.roles_text,
    "docs/operations/settings.md": settings_page,
    "deploy/grafana/sema.json": build.render,
}
"""What each file must say, by its path from the root."""


if __name__ == "__main__":
    for path, text in DOCUMENTS.items():
        (ROOT / path).write_text(text())
