"""`python -m study.report RUN [RUN ...]`: tables, figures and the page of finished runs, from Parquet only."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table as Listing

from study.reporting.building import Report, build_report, files
from study.reporting.run import load_run
from study.reporting.table import Table, Text
from study.spec.errors import StorageError, StudyError

TOP = 10
MEASURES = 3  # test columns of the console's leaderboard


def write_report(run: str | Path, out: Path | None = None) -> str:
    """Writes `report/` into the run, or the files into `out`, and returns where the page is.

    Raises:
        StudyError: there is no run, nothing finished in it, or no place to write to.
    """
    return _write(build_report(load_run(str(run))), out)


def _write(report: Report, out: Path | None) -> str:
    store = report.run.store
    try:
        for name, content in files(report).items():
            if out is None:
                store.write_bytes(f"report/{name}", content)
            else:
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                (out / name).write_bytes(content)
    except OSError as error:
        where = out or f"{store.where}/report"
        raise StorageError(f"`report`: must be a place to write to, got `{where}` ({error}). Give another one with --out.") from None
    return f"{out or f'{store.where}/report'}/index.html"


def _listing(table: Table) -> Listing:
    """The leaderboard's first rows and its baselines, narrow enough for a console."""
    keys = [column.key for column in table.columns]
    first = keys.index("validation")
    shown = [keys.index("rank"), keys.index("trial"), *range(first, first + 1 + MEASURES), keys.index("configuration")]
    listing = Listing(title=table.title, box=None, header_style="bold", title_justify="left")
    for i in shown:
        words = table.columns[i].words
        listing.add_column(table.columns[i].title, justify="left" if words else "right", no_wrap=keys[i] == "trial")
    for place, row in enumerate(table.rows):
        if place < TOP or row.cells[0] == Text(""):
            listing.add_row(*(escape(row.cells[i].text) for i in shown))
    return listing


def _report_one(where: str, out: Path | None, console: Console) -> None:
    report = build_report(load_run(where))
    page = _write(report, out)
    if report.run.synthetic:
        console.print("[bold red]SYNTHETIC[/]: computed on made-up images, not on patients.")
    if leaderboard := report.table("leaderboard"):
        console.print(_listing(leaderboard))
    for problem in report.run.store.problems:
        console.print(f"[yellow]{escape(problem)}[/]")
    console.print(f"Report: {escape(page)}", soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code, 2 for anything the user can put right."""
    parser = argparse.ArgumentParser(prog="python -m study.report", description="Tables, figures and a page from a run's Parquet files.")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder of a run (runs/<study>), or a URI that pyarrow can open")
    parser.add_argument("--out", type=Path, help="where to write; left out, into RUN/report")
    options = parser.parse_args(arguments)
    try:
        for run in options.runs:
            out = options.out / Path(run).name if options.out and len(options.runs) > 1 else options.out
            _report_one(run, out, Console())
    except StudyError as error:
        Console(stderr=True).print(f"[bold red]error[/] {escape(str(error))}", soft_wrap=True, highlight=False)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
