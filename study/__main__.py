"""`study COMMAND` or `python -m study COMMAND`: all commands under one name."""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

from study.command import run_command
from study.spec.errors import SpecError, suggest

COMMANDS = {
    "run": "run a study file; the same command again goes on",
    "report": "tables, figures and a page from a run, and their verification",
    "predict": "apply a finished trial, or the ensemble, to other images",
    "heatmaps": "where a finished trial looks",
    "audit": "duplicates, bad images and labels of a data set",
    "doctor": "what usually goes wrong on this machine, in a study file or a cluster file",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command that the first argument names, with the others.

    Returns:
        The exit code of the command; 2 for an unknown one.
    """
    name, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    return run_command(lambda: _run(name, rest))


def _run(name: str, rest: Sequence[str]) -> int:
    if name in ("-h", "--help", "help"):
        print(overview())
        return 0
    if name == "--version":
        print(version("eyepair-study"))
        return 0
    if name not in COMMANDS:
        raise SpecError(f"`study`: must be followed by a command, got `{name}`. {suggest(name, COMMANDS)}")
    code: int = import_module(f"study.{name}").main(rest)
    return code


def overview() -> str:
    """The commands, a line each."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, what in COMMANDS.items()]
    usage = "usage: study COMMAND ...   (or python -m study.COMMAND ...)"
    return "\n".join([usage, "", *lines, "", "`study COMMAND --help` says what a command takes."])


if __name__ == "__main__":
    sys.exit(main())
