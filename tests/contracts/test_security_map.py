"""docs/security.md names tests that exist, and those tests name the items that they cover."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROW = re.compile(
    r"^\| (?P<threat>[^|]+) \| (?P<items>[^|]+) \| [^|]+ \| `(?P<path>[^:`]+)::(?P<test>\w+)` \|$",
    re.MULTILINE,
)
ROWS = [match.groupdict() for match in ROW.finditer((ROOT / "docs" / "security.md").read_text())]


def test_the_map_covers_the_top_ten_and_every_row_is_read() -> None:
    lines = [
        line for line in (ROOT / "docs" / "security.md").read_text().splitlines() if line.startswith("| ")
    ]
    assert len(ROWS) == len(lines) - 1, "a row of another shape would not be checked"
    covered = {item for row in ROWS for item in row["items"].split(", ")}
    assert {f"API{number}" for number in range(1, 11)} <= covered


@pytest.mark.parametrize("row", ROWS, ids=[row["test"] + ":" + row["items"] for row in ROWS])
def test_a_control_has_a_test_that_names_its_items(row: dict[str, str]) -> None:
    module = ast.parse((ROOT / row["path"]).read_text())
    tests = {
        node.name: node for node in module.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert row["test"] in tests
    said = f"{ast.get_docstring(module)} {ast.get_docstring(tests[row['test']])}"
    for item in row["items"].split(", "):
        name = item.removeprefix("ASVS ")
        assert re.search(rf"\b{re.escape(name)}\b", said), f"{row['path']} does not say that it covers {item}"
