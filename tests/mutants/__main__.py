"""Proof that the tests can fail: each defect of the catalogue is made in a copy of the tree, and its test must see it.

    make mutants [ONLY='ledger redirects']     those whose name holds one of these words

Prints caught or missed for each; the exit status is 1 when one was missed, or when the code has moved away from
under one. Its test is run on the copy without the defect first: a test that fails anyway notices nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from deploy.local.layout import ROOT
from tests.kit.stores import HOME_VARIABLE, Home
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Mutant

TEST_SECONDS: Final = 180


def main() -> None:
    words = os.environ.get("ONLY", "").split()
    chosen = [m for m in MUTANTS if not words or any(word in m.name for word in words)]
    home = Home()
    table = Table("defect", "seconds", "verdict", "by", box=None)
    survived = 0
    try:
        home.start()
        with tempfile.TemporaryDirectory(prefix="sema-mutants-") as directory:
            tree = Path(directory)
            copy(tree)
            env = environment(tree, home.path)
            tests = list(dict.fromkeys(m.test for m in chosen))
            fine = passes(tree, env, *tests)
            healthy = {test: fine or passes(tree, env, test) for test in tests}
            for mutant in chosen:
                started = time.monotonic()
                verdict = judge(tree, env, mutant, healthy[mutant.test])
                survived += verdict != "caught"
                print(f"{verdict}: {mutant.name}", flush=True)
                test = mutant.test.rpartition("/")[2]
                table.add_row(mutant.name, f"{time.monotonic() - started:.1f}", verdict, test)
    finally:
        home.remove()
    Console(width=170).print(table)
    print(f"{len(chosen) - survived} of {len(chosen)} caught")
    sys.exit(1 if survived else 0)


def copy(tree: Path) -> None:
    """All that git knows of the checkout, as it stands."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)


def environment(tree: Path, home: Path) -> dict[str, str]:
    """The copy's own packages come first; the stores are those of this run."""
    sources = [str(path) for path in sorted([*tree.glob("libs/*/src"), *tree.glob("services/*/src")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*sources, str(tree)]),
        HOME_VARIABLE: str(home.resolve()),
    }


def judge(tree: Path, env: Mapping[str, str], mutant: Mutant, healthy: bool) -> str:
    if not healthy:
        return "its test fails without it"
    path = tree / mutant.path
    text = path.read_text()
    if text.count(mutant.old) != 1:
        return "stale: the code has changed"
    write(path, text.replace(mutant.old, mutant.new))
    try:
        return "MISSED" if passes(tree, env, mutant.test) else "caught"
    finally:
        write(path, text)


def write(path: Path, text: str) -> None:
    """And forget its bytecode: two edits within a second may look the same to Python."""
    path.write_text(text)
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
        compiled.unlink()


def passes(tree: Path, env: Mapping[str, str], *tests: str) -> bool:
    """Whether these tests pass on the copy; one that hangs does not."""
    options = ["-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider", f"--timeout={TEST_SECONDS}"]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    done = subprocess.run(command, cwd=tree, env=dict(env), check=False, capture_output=True)
    if done.returncode not in (0, 1):
        sys.exit(f"{tests}\n{done.stdout.decode()}{done.stderr.decode()}")
    return done.returncode == 0


if __name__ == "__main__":
    main()
