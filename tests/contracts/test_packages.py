"""Packages stand on their own: each declares what it imports, and says what changed.

Who may import whom is import-linter's (`.importlinter`); the workspace's one environment would let a package
import what it never declared, so that is deptry's question here.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {path.parent.name: path.parent for path in sorted(ROOT.glob("*/*/pyproject.toml"))}
every_package = pytest.mark.parametrize("name", PACKAGES)


def project(name: str) -> dict[str, Any]:
    content: dict[str, Any] = tomllib.loads((PACKAGES[name] / "pyproject.toml").read_text())["project"]
    return content


def git(*args: str) -> str:
    done = subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_workspace_is_seven_rooms_and_three_libraries() -> None:
    kinds = [path.parent.name for path in PACKAGES.values()]
    assert (kinds.count("services"), kinds.count("libs")) == (7, 3)


@every_package
def test_a_package_has_the_same_name_everywhere(name: str) -> None:
    words = name.replace("_", "-")
    assert project(name)["name"] == f"sema-{words}"
    assert [path.parent.name for path in (PACKAGES[name] / "src").glob("*/__init__.py")] == [
        f"sema_{words.replace('-', '_')}"
    ]


@every_package
def test_a_package_declares_what_it_imports_and_nothing_else(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deptry", "src", "--no-ansi"],
        cwd=PACKAGES[name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@every_package
def test_a_service_depends_on_no_other_service(name: str) -> None:
    services = {f"sema-{path.name}" for path in PACKAGES.values() if path.parent.name == "services"}
    depends = {re.split(r"[^\w-]", line)[0] for line in project(name).get("dependencies", [])}
    assert not depends & services


@every_package
def test_a_changed_package_says_what_changed(name: str) -> None:
    """Since its last release (tag `<package>/v<version>`), or since the beginning."""
    source = PACKAGES[name].relative_to(ROOT) / "src"
    tags = git("tag", "--list", "--merged", "HEAD", "--sort=-version:refname", f"{name}/v*").split()
    changed = bool(git("diff", "--name-only", tags[0], "HEAD", "--", str(source))) if tags else True
    changelog = (PACKAGES[name] / "CHANGELOG.md").read_text()
    unreleased = re.search(r"^## \[Unreleased\]\n(.*?)(?=^## \[|\Z)", changelog, re.MULTILINE | re.DOTALL)
    assert unreleased is not None, "a changelog begins with an Unreleased section"
    if changed:
        assert re.search(r"^- ", unreleased[1], re.MULTILINE), (
            f"{name} has changed: say how in its CHANGELOG.md"
        )
