"""`python -m study.report RUN [RUN ...]`: tables, figures and the page of finished runs, from Parquet only.

`--why TABLE:ROW:COLUMN` prints what is behind a number, and `--verify` checks a written report and its
records (`study.reporting.verifying` says what that proves).
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from PIL import Image
from pyarrow.fs import FileType
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Listing

from study.command import run_command
from study.data.source import open_dataset
from study.evidence.added_heads import add_heads
from study.evidence.ledger import enter_records
from study.evidence.run_folder import place_below
from study.reporting.answer import answer_lines
from study.reporting.assembly import Report, build_report, build_tables, files
from study.reporting.figure import Drawing
from study.reporting.patients_strip import Images, data_uri, strip_samples
from study.reporting.record_checks import record_differences
from study.reporting.redaction import without_folders
from study.reporting.row_trials import trials_with_heads
from study.reporting.run import Run, load_run
from study.reporting.side_by_side import names_of, side_by_side
from study.reporting.table import Table, Text
from study.reporting.tracing import why
from study.reporting.verifying import verify
from study.spec.errors import StorageError, StudyError
from study.spec.posthoc import HEAD_SETTINGS
from study.spec.trial_spec import TrialSpec
from study.spec.wording import duration_text

MAX_TRIALS = 10  # of the console's leaderboard
NUM_TEST_COLUMNS = 3  # of the console's leaderboard
THUMBNAIL_PX = 144


def write_report(run: str | Path, out: Path | None = None, drawings: Sequence[Drawing] = ()) -> str:
    """Writes a run's report.

    Args:
        run: Folder or URI of the run.
        out: Folder for the files; left out, the folder `report` of the run.
        drawings: Further figures for the page, made elsewhere.

    Returns:
        where the page is.

    Raises:
        StudyError: There is no run, nothing finished in it, or no place to write to.
    """
    report = build_report(load_run(str(run)), drawings)
    return place_below(_write(report.run, files(report, _thumbnails(report)), out), "index.html")


def _write(run: Run, content: Mapping[str, bytes], out: Path | None) -> str:
    """Writes the files and returns the folder."""
    where = str(out or run.store.place("report"))
    try:
        for name, data in content.items():
            if out is None:
                run.store.write_bytes(f"report/{name}", data)
            else:
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                (out / name).write_bytes(data)
    except (OSError, pa.ArrowException) as error:
        raise StorageError(
            f"`report`: must be a place to write to, got `{where}` ({error}). Give another one with --out."
        ) from None
    return where


def _check_folder(out: Path | None) -> None:
    """Refuses, before any work, a folder that can be none."""
    if out is not None and any(part.exists() and not part.is_dir() for part in (out, *out.parents)):
        raise StorageError(
            f"`--out`: must be a folder, got `{out}`, which is or lies in a file. Give another one with "
            "--out."
        )


def _thumbnails(report: Report) -> Images:
    """Small pictures of the samples that the page shows; none where the data cannot be read."""
    errors, run = report.table("errors"), report.run
    if run.best is None:
        return {}
    wanted = {*strip_samples(run), *(row.key for row in (errors.rows if errors else ()))}
    try:
        pairs = open_dataset(TrialSpec.read(run.of_trial(run.best, "spec")).data)
        keys_of = dict(zip(pairs.table["sample"], pairs.keys, strict=True))
        found = {}
        for sample in wanted & keys_of.keys():
            images = (Image.fromarray(pairs.load(key)) for key in keys_of[sample] if key)
            found[sample] = tuple(map(_thumbnail, images))
        return found
    except (StudyError, OSError):
        return {}


def _thumbnail(image: Image.Image) -> str:
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    return data_uri(image)


def _listing(table: Table) -> Listing:
    """The leaderboard's first rows and its baselines, narrow enough for a console."""
    keys = [column.key for column in table.columns]
    first = keys.index("validation")
    shown = [
        keys.index("rank"),
        keys.index("trial"),
        *range(first, first + 1 + NUM_TEST_COLUMNS),
        keys.index("configuration"),
    ]
    listing = Listing(title=table.title, box=None, header_style="bold", title_justify="left")
    for i in shown:
        column = table.columns[i]
        listing.add_column(
            column.title, justify="left" if column.words else "right", no_wrap=column.key == "trial"
        )
    for place, row in enumerate(table.rows):
        if place < MAX_TRIALS or row.cells[0] == Text(""):
            listing.add_row(*(escape(row.cells[i].text) for i in shown))
    return listing


def _with_heads(run: Run, heads: str, console: Console) -> Run:
    """The run after heads were fitted on the embeddings of all trials whose heads a report shows."""
    wanted = heads if heads == "all" else [name.strip() for name in heads.split(",")]
    trials = trials_with_heads(run)
    began = time.perf_counter()
    for trial, head in add_heads(
        run.store, trials, wanted, run.kind, run.labels, run.head_measure, run.thresholds
    ):
        console.print(f"fitting {escape(head)} on the embedding of {escape(trial)}")
    enter_records(run.store)
    console.print(f"The heads are fitted ({duration_text(time.perf_counter() - began)}).")
    return load_run(run.store.where)


def _report_one(run: Run, out: Path | None, console: Console) -> None:
    report = build_report(run)
    folder = _write(run, files(report, _thumbnails(report)), out)
    if run.synthetic:
        console.print("[bold red]SYNTHETIC[/]: computed on made-up images, not on patients.")
    if leaderboard := report.table("leaderboard"):
        console.print(_listing(leaderboard))
    for line in answer_lines(run):
        console.print(without_folders(line), soft_wrap=True, markup=False, highlight=False)
    for problem in run.problems:
        console.print(f"[yellow]{escape(problem)}[/]")
    console.print(f"Report: {escape(folder)}/index.html", soft_wrap=True)


def _explain_one(run: Run, address: str, console: Console) -> None:
    lines = why(Report(run, build_tables(run), ()), address)
    console.print("\n".join(lines), soft_wrap=True, markup=False, highlight=False)


class _Folder:
    """The folder of a written report: `report` in a run, or another one on this machine."""

    def __init__(self, run: Run, out: Path | None) -> None:
        self._run, self._out = run, out

    def read(self, name: str) -> bytes:
        """The content of a file."""
        if self._out is None:
            return self._run.store.read_bytes(f"report/{name}")
        try:
            return (self._out / name).read_bytes()
        except OSError as error:
            raise StorageError(
                f"`{self._out / name}`: must be a file of a written report ({error}). Write the report first."
            ) from None

    def names(self) -> list[str]:
        """The paths of all files below the folder."""
        if self._out is not None:
            return [path.relative_to(self._out).as_posix() for path in self._out.rglob("*") if path.is_file()]
        entries = self._run.store.entries("report")
        return ["/".join(parts) for parts, info in entries if info.type == FileType.File]


def _verify_one(run: Run, out: Path | None, console: Console, beside: Mapping[str, bytes]) -> bool:
    """Prints what does not verify; true where everything does.

    Args:
        run: The run.
        out: Folder of the written report; None for that in the run.
        console: Where to print.
        beside: Files of a comparison of several runs that lie in the same folder.
    """
    folder = _Folder(run, out)
    folder.read("index.html")  # before all work
    report = build_report(run)
    images = _thumbnails(report)
    fresh = {**files(report, images), **beside}
    found = verify(report, fresh, folder.read, folder.names(), pictures=bool(images) or run.best is None)
    differences = [*record_differences(run), *found.differences]
    for d in differences:
        line = f"[red]{escape(d.where)}[/]: written {escape(d.written)}, computed {escape(d.computed)}"
        console.print(line, soft_wrap=True, highlight=False)
    for what in found.unchecked:
        console.print(f"[yellow]not checked[/]: {what}", soft_wrap=True)
    verdict = f"{len(differences)} differences" if differences else "all as written"
    console.print(
        f"{escape(run.name)}: {found.num_compared:,} numbers made again from Parquet, "
        f"{found.num_from_predictions:,} cells of them from predictions, the others from records that the "
        f"ledger vouches for; {verdict}.",
        soft_wrap=True,
    )
    return not differences


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Returns:
        0 when all went well, 1 for a report that does not verify, 2 for what the user can put right.
    """
    options = parser().parse_args(arguments)
    return run_command(lambda: _run(options, Console()))


def _run(options: argparse.Namespace, console: Console) -> int:
    runs = [load_run(where) for where in options.runs]
    folders = [options.out] * len(runs)
    if options.out and len(runs) > 1:
        folders = [options.out / name for name in names_of(runs)]
    _check_folder(options.out)
    if options.why:
        for run in runs:
            _explain_one(run, options.why, console)
        return 0
    if options.verify:
        beside = side_by_side(runs) if len(runs) > 1 and options.out is None else {}
        besides = [beside, *[{}] * (len(runs) - 1)]
        each = zip(runs, folders, besides, strict=True)
        good = [_verify_one(run, out, console, more) for run, out, more in each]
        return 0 if all(good) else 1
    if options.heads:
        runs = [_with_heads(run, options.heads, console) for run in runs]
    for run, out in zip(runs, folders, strict=True):
        _report_one(run, out, console)
    if len(runs) > 1:
        folder = _write(runs[0], side_by_side(runs), options.out)
        console.print(f"Side by side: {escape(folder)}/compared.html", soft_wrap=True)
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    cli = argparse.ArgumentParser(
        prog="python -m study.report", description="Tables, figures and a page from a run's Parquet files."
    )
    cli.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="folder of a run (runs/<study>), or a URI; several are also shown side by side",
    )
    cli.add_argument("--out", type=Path, help="where to write; left out, into RUN/report")
    cli.add_argument(
        "--heads",
        metavar="NAME,NAME",
        help="fit further heads on the stored embeddings of the trials whose heads are shown, and keep them "
        f"in the run: all, or some of {', '.join(HEAD_SETTINGS)}; settings that validation must not choose "
        "stand behind the name: 'knn k=2,svm'",
    )
    task = cli.add_mutually_exclusive_group()
    task.add_argument(
        "--why", metavar="TABLE:ROW:COLUMN", help="print the trials, predictions and settings behind a number"
    )
    task.add_argument(
        "--verify",
        action="store_true",
        help="make the written report again from the records, compare, and check the records",
    )
    return cli


if __name__ == "__main__":
    sys.exit(main())
