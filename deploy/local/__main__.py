"""`python -m deploy.local up|down|run|status|stop|start|secrets|operators`, from the root of the checkout."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy.local import bootstrap, control
from deploy.local.credentials import load
from deploy.local.layout import DEFAULT_HOME, Layout


def main() -> None:
    arguments = _parser().parse_args()
    layout = control.find(arguments.home, durable=not arguments.fast)
    match arguments.command:
        case "run":
            control.run(layout, arguments.only)
        case "up":
            control.up(layout, arguments.only)
            print(f"up; addresses and credentials are in {layout.env_file}")
        case "down":
            control.down(layout)
            print("down")
        case "start":
            control.up(layout, arguments.names)
        case "stop":
            control.stop(layout, arguments.names)
        case "status":
            _print_status(layout)
        case "secrets":
            layout.home.mkdir(parents=True, exist_ok=True)
            load(layout.secrets_file)
            print(layout.secrets_file)
        case "operators":
            _operators(layout, arguments.arguments)


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--home", type=Path, default=DEFAULT_HOME, help="where the stack lives")
    shared.add_argument("--fast", action="store_true", help="Postgres without fsync: for tests only")
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, what: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=what, parents=[shared])

    for name, what in (
        ("up", "start in the background; returns when all is ready; mends a half-running stack"),
        ("run", "the supervisor itself, in the foreground"),
    ):
        command(name, what).add_argument(
            "--only", type=_names, default=(), help="these programs (comma separated) and what they need"
        )
    command("down", "stop everything")
    command("secrets", "make the stack's secrets without starting it")
    command("status", "what runs, since when, and what it last said")
    command("start", "start single programs again").add_argument("names", nargs="+")
    command("stop", "end single programs until `start`").add_argument("names", nargs="+")
    command("operators", "the operators' CLI on this stack").add_argument(
        "arguments", nargs=argparse.REMAINDER
    )
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _print_status(layout: Layout) -> None:
    status = control.read_status(layout)
    if status is None:
        sys.exit("the stack is not running; start it with: make up")
    table = Table("program", "state", "pid", "restarts", "last said", box=None)
    for name, state in status["programs"].items():
        table.add_row(name, state["phase"], str(state["pid"] or ""), str(state["restarts"]), state["detail"])
    Console().print(table)


def _operators(layout: Layout, arguments: list[str]) -> None:
    answer = asyncio.run(bootstrap.operators(layout, load(layout.secrets_file), *arguments))
    for name, value in answer.items():
        print(f"{name}={value}")


if __name__ == "__main__":
    try:
        main()
    except control.StackError as error:
        sys.exit(str(error))
