"""What several commands have in common: how they print an error of the user, and some of their options."""

import argparse
import sys
from collections.abc import Callable
from io import TextIOWrapper

from rich.console import Console
from rich.markup import escape

from study.spec.errors import StudyError

USER_ERROR = 2


def run_command(body: Callable[[], int]) -> int:
    """Runs a command.

    Args:
        body: Does what the command does, and gives its exit code.

    Returns:
        The exit code of the body, or `USER_ERROR` after the message of an error that the user can put right.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that lacks a letter shows `?`
            stream.reconfigure(errors="replace")
    try:
        return body()
    except StudyError as error:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print(f"[bold red]error[/] {escape(str(error))}")
        return USER_ERROR


def add_setting_options(cli: argparse.ArgumentParser) -> None:
    """Adds the options that change a study file, `--set` and `--profile`, to a command line."""
    cli.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a value, e.g. data.root=/data/odir5k",
    )
    cli.add_argument(
        "--profile", default="auto", help="a profile of the study file; auto: full with a GPU, else laptop"
    )
