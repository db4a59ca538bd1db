"""The one command, ``eyebright``.

* Each role adds itself through the entry-point group ``eyebright.commands``; a group is imported only when asked for,
  so ``eyebright edge …`` never loads torch and ``eyebright --help`` loads nothing.
* An ``EyebrightError`` becomes one line on standard error and its own exit code; Ctrl-C becomes 130. Nobody sees a
  traceback for a mistake we know how to explain.
"""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, entry_points

import typer
from rich.console import Console
from rich.markup import escape
from typer.main import get_command

from eyebright_common import __version__
from eyebright_common.errors import EyebrightError

_ABOUT = {
    "simulate": "Rehearse the whole network on this machine: teacher, hospitals, rounds, release, unit, report.",
    "study": "Ablations and teachers on patient-grouped folds of labelled pictures.",
    "evaluate": "Run a release over any manifest and print its metrics.",
    "audit": "Ask of labelled pictures whether site, camera or picture statistics give the label away.",
    "teacher-cache": "Build, describe and verify a cache of teacher targets.",
    "server": "Central server: serve releases, invite units, look after the repository.",
    "client": "Hospital: join, train locally, see what leaves the building.",
    "edge": "Screening unit: enrol, update, prove, screen.",
}
# What installs a command, where that is not called like the command.
_EXTRAS = {
    "simulate": "simulations",
    "study": "simulations",
    "evaluate": "server",
    "audit": "server",
    "teacher-cache": "learning",
}


def _commands() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group="eyebright.commands")}


def _print_overview(console: Console, commands: dict[str, EntryPoint]) -> None:
    console.print("[bold]eyebright[/bold] COMMAND …   federated retinal screening\n")
    for name in (n for n in _ABOUT if n in commands):
        console.print(f"  [bold]{name:<13}[/bold] {_ABOUT[name]}")
    for name in (n for n in sorted(commands) if n not in _ABOUT):
        console.print(f"  [bold]{name:<13}[/bold]")
    console.print("\n`eyebright COMMAND --help` explains one; `--version` prints the version.")
    console.print("[dim]Research use. Not for diagnosis.[/dim]")


def main(argv: list[str] | None = None) -> None:
    """Run the command line given (default: the process's own) and exit with its code."""
    arguments = sys.argv[1:] if argv is None else argv
    commands = _commands()
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        _print_overview(Console(), commands)
        raise SystemExit(0 if arguments else 2)
    if arguments[0] == "--version":
        Console().print(__version__, highlight=False)
        raise SystemExit(0)
    problems = Console(stderr=True, soft_wrap=True)
    if arguments[0] not in commands:
        problems.print(f"[red]unknown command:[/red] {escape(arguments[0])}. Choose one of: {', '.join(commands)}.")
        raise SystemExit(2)
    raise SystemExit(_run(commands[arguments[0]], arguments[1:], problems))


def _run(point: EntryPoint, arguments: list[str], problems: Console) -> int:
    try:
        app = point.load()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing.startswith("eyebright"):
            raise
        extra = _EXTRAS.get(point.name, point.name)
        problems.print(f"[red]{point.name} needs {missing}.[/red] Install it with: pip install 'eyebright\\[{extra}]'")
        return 1
    command = get_command(app) if isinstance(app, typer.Typer) else app
    try:
        result = command.main(args=arguments, prog_name=f"eyebright {point.name}", standalone_mode=False)
    except typer.Exit as stop:
        return int(stop.exit_code)
    except typer.Abort:
        return 130
    except KeyboardInterrupt:
        return 130
    except EyebrightError as error:
        problems.print(f"[red]error:[/red] {escape(str(error))}")
        return error.exit_code
    except Exception as error:
        return _usage_exit(error)
    return int(result) if isinstance(result, int) else 0


def _usage_exit(error: Exception) -> int:
    # Typer carries its own copy of click's usage errors; both have `show` and `exit_code`. Anything else is a bug.
    show = getattr(error, "show", None)
    code = getattr(error, "exit_code", None)
    if show is None or code is None:
        raise error
    show()
    return int(code)
