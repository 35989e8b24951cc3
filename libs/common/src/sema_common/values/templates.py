"""The text of a campaign: `{{name}}` stands for what a contact's row says. Pure.

A value is put in as it is and never read again as a template. A field that a contact lacks is the empty text; who
lacks which one is the caller's to report.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

MAX_FIELDS: Final = 20
MAX_NAME: Final = 64

_field: Final = re.compile(r"\{\{([^{}]*)\}\}")


class BadTemplate(ValueError):
    """Braces that close nothing, a field without a name, too many fields; the text says which."""


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed text: `literals` has one element more than `slots`, whose fields stand between them."""

    literals: tuple[str, ...]
    slots: tuple[str, ...]

    @property
    def fields(self) -> Sequence[str]:
        """The names used, each once, in order of appearance."""
        return tuple(dict.fromkeys(self.slots))

    def render(self, values: Mapping[str, str]) -> str:
        """The text for one contact; what is missing is left empty."""
        if not self.slots:
            return self.literals[0]
        pieces = [self.literals[0]]
        for name, literal in zip(self.slots, self.literals[1:], strict=True):
            pieces.append(values.get(name, ""))
            pieces.append(literal)
        return "".join(pieces)


def parse_template(text: str) -> Template:
    """The template; BadTemplate when `{{` and `}}` do not enclose names."""
    parts = _field.split(text)
    literals, slots = tuple(parts[::2]), tuple(name.strip() for name in parts[1::2])
    for literal in literals:
        if "{{" in literal or "}}" in literal:
            raise BadTemplate("a merge field is a name between two braces on each side, such as {{name}}")
    for name in slots:
        if not name or len(name) > MAX_NAME or "\x00" in name:
            raise BadTemplate(f"the name of a merge field has 1 to {MAX_NAME} characters")
    if len(set(slots)) > MAX_FIELDS:
        raise BadTemplate(f"a text has at most {MAX_FIELDS} different merge fields")
    return Template(literals, slots)
