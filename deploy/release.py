"""`make release PACKAGE=sms-worker BUMP=minor`: one package's version, changelog heading, commit and tag.

It refuses a package without an entry under [Unreleased], and it pushes nothing.
"""

from __future__ import annotations

import datetime
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
UNRELEASED: Final = "## [Unreleased]"


def main() -> None:
    if len(sys.argv) != 3 or sys.argv[2] not in {"major", "minor", "patch"}:
        sys.exit("usage: make release PACKAGE=<directory of services/ or libs/> BUMP=major|minor|patch")
    print(release(*sys.argv[1:]))


def release(package: str, bump: str) -> str:
    """The tag it made, such as `sms-worker/v1.4.0`."""
    directory = next((d for d in (ROOT / "services" / package, ROOT / "libs" / package) if d.is_dir()), None)
    if directory is None:
        sys.exit(f"there is no package services/{package} or libs/{package}")
    project, changelog = directory / "pyproject.toml", directory / "CHANGELOG.md"
    if _run("git", "status", "--porcelain", "--", str(directory)):
        sys.exit(f"{directory.relative_to(ROOT)} has changes that are not committed")
    before, heading, after = changelog.read_text().partition(UNRELEASED)
    entries, next_heading, older = after.partition("\n## [")
    if not heading or not entries.strip():
        sys.exit(f"{changelog.relative_to(ROOT)} has nothing under {UNRELEASED}")
    distribution = f"sema-{package.replace('_', '-')}"
    uv = Path(sys.executable).with_name("uv")
    _run(str(uv), "version", "--package", distribution, "--bump", bump, "--frozen")
    version = _version(project)
    today = datetime.datetime.now(datetime.UTC).date()
    released = f"{UNRELEASED}\n\n## [{version}] - {today}\n\n{entries.strip()}\n"
    changelog.write_text(before + released + next_heading + older)
    tag = f"{package}/v{version}"
    _run("git", "commit", "-q", "-m", f"release: {tag}", "--", str(project), str(changelog))
    _run("git", "tag", "-a", tag, "-m", f"{distribution} {version}\n\n{entries.strip()}")
    return tag


def _version(project: Path) -> str:
    lines = project.read_text().splitlines()
    return next(line.split('"')[1] for line in lines if line.startswith("version = "))


def _run(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


if __name__ == "__main__":
    main()
