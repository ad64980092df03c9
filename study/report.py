"""`python -m study.report RUN [RUN ...]`: tables, figures and the page of finished runs, from Parquet only.

With `--why TABLE:ROW:COLUMN` it prints what is behind a number; with `--verify` it computes every number of a written report again.
"""

import argparse
import base64
import io
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Listing

from study.data.source import open_dataset
from study.evidence.heads import POSTHOC_HEADS
from study.evidence.more_heads import add_heads
from study.reporting.assembly import Images, Report, build_report, build_tables, files
from study.reporting.figure import Drawing
from study.reporting.papers import published
from study.reporting.row_trials import base_trials
from study.reporting.run import Run, load_run
from study.reporting.side_by_side import names_of, side_by_side
from study.reporting.table import Table, Text
from study.reporting.tracing import verify, why
from study.spec.errors import StorageError, StudyError
from study.spec.trial_spec import TrialSpec

TOP = 10
MEASURES = 3  # test columns of the console's leaderboard
THUMBNAIL_PX = 144


def write_report(run: str | Path, out: Path | None = None, drawings: Sequence[Drawing] = ()) -> str:
    """Writes `report/` into the run, or the files into `out`, and returns where the page is.

    Args:
        run: folder or URI of the run.
        out: another place for the files.
        drawings: further figures for the page, made elsewhere.

    Raises:
        StudyError: there is no run, nothing finished in it, or no place to write to.
    """
    report = build_report(load_run(str(run)), drawings)
    return f"{_write(report.run, files(report, _thumbnails(report)), out)}/index.html"


def _write(run: Run, content: Mapping[str, bytes], out: Path | None) -> str:
    """Writes the files and returns the folder."""
    where = str(out or f"{run.store.where}/report")
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
    """Finds out before the work that `out` can be no folder."""
    if out is not None and any(part.exists() and not part.is_dir() for part in (out, *out.parents)):
        raise StorageError(
            f"`--out`: must be a folder, got `{out}`, which is or lies in a file. Give another one with --out."
        )


def _thumbnails(report: Report) -> Images:
    """Small pictures of the samples in the error table; none where the data are not at hand."""
    errors, run = report.table("errors"), report.run
    if errors is None or run.best is None:
        return {}
    wanted = {row.key for row in errors.rows}
    try:
        data = TrialSpec.read(run.of_trial(run.best, "spec")).data
        pairs = open_dataset(data.dataset, data.root, num_patients=data.phantom_patients, unit=data.unit)
        found = {
            sample: keys
            for sample, keys in zip(pairs.table["sample"], pairs.keys, strict=True)
            if sample in wanted
        }
        return {
            sample: tuple(_data_uri(Image.fromarray(pairs.load(key))) for key in keys if key)
            for sample, keys in found.items()
        }
    except (StudyError, OSError):
        return {}


def _data_uri(image: Image.Image) -> str:
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"


def _listing(table: Table) -> Listing:
    """The leaderboard's first rows and its baselines, narrow enough for a console."""
    keys = [column.key for column in table.columns]
    first = keys.index("validation")
    shown = [
        keys.index("rank"),
        keys.index("trial"),
        *range(first, first + 1 + MEASURES),
        keys.index("configuration"),
    ]
    listing = Listing(title=table.title, box=None, header_style="bold", title_justify="left")
    for i in shown:
        words = table.columns[i].words
        listing.add_column(
            table.columns[i].title, justify="left" if words else "right", no_wrap=keys[i] == "trial"
        )
    for place, row in enumerate(table.rows):
        if place < TOP or row.cells[0] == Text(""):
            listing.add_row(*(escape(row.cells[i].text) for i in shown))
    return listing


def _with_heads(run: Run, heads: str, console: Console) -> Run:
    """The run after the heads were fitted on the embeddings that a report shows heads of: the chosen trial's, and SVK_MA's Table 7."""
    shown = [run.best] if run.best else []
    shown += [key for key in base_trials(run, published("svkma_table7")) if key not in shown]
    wanted = heads if heads == "all" else [name.strip() for name in heads.split(",")]
    began = time.perf_counter()
    for trial, head in add_heads(run.store, shown, wanted, run.kind, run.labels, run.head_measure):
        console.print(f"fitting {escape(head)} on the embedding of {escape(trial)}")
    console.print(f"heads are fitted, {time.perf_counter() - began:.0f} s")
    return load_run(run.store.where)


def _report_one(run: Run, out: Path | None, console: Console) -> None:
    report = build_report(run)
    folder = _write(run, files(report, _thumbnails(report)), out)
    if run.synthetic:
        console.print("[bold red]SYNTHETIC[/]: computed on made-up images, not on patients.")
    if leaderboard := report.table("leaderboard"):
        console.print(_listing(leaderboard))
    for problem in run.problems:
        console.print(f"[yellow]{escape(problem)}[/]")
    console.print(f"Report: {escape(folder)}/index.html", soft_wrap=True)


def _verify_one(run: Run, out: Path | None, console: Console) -> bool:
    """Prints what does not verify; true where everything does."""

    def written(name: str) -> bytes:
        if out is None:
            return run.store.read_bytes(f"report/{name}")
        try:
            return (out / name).read_bytes()
        except OSError as error:
            raise StorageError(
                f"`{out / name}`: must be a file of a written report ({error}). Write the report first."
            ) from None

    compared, differences = verify(Report(run, build_tables(run), ()), written)
    for d in differences:
        console.print(
            f"[red]{escape(d.where)}[/]: written {escape(d.written)}, computed {escape(d.computed)}",
            soft_wrap=True,
            highlight=False,
        )
    verdict = f"{len(differences)} differences" if differences else "all as written"
    console.print(f"{escape(run.name)}: {compared:,} numbers computed again from Parquet, {verdict}.")
    return not differences


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code: 2 for anything the user can put right, 1 for a report that does not verify."""
    options = _parser().parse_args(arguments)
    console = Console()
    try:
        runs = [load_run(where) for where in options.runs]
        places = [
            options.out / name if options.out and len(runs) > 1 else options.out for name in names_of(runs)
        ]
        _check_folder(options.out)
        if options.why:
            for run in runs:
                console.print(
                    "\n".join(why(Report(run, build_tables(run), ()), options.why)),
                    soft_wrap=True,
                    markup=False,
                    highlight=False,
                )
            return 0
        if options.verify:
            good = [_verify_one(run, out, console) for run, out in zip(runs, places, strict=True)]
            return 0 if all(good) else 1
        if options.heads:
            runs = [_with_heads(run, options.heads, console) for run in runs]
        for run, out in zip(runs, places, strict=True):
            _report_one(run, out, console)
        if len(runs) > 1:
            console.print(
                f"Side by side: {escape(_write(runs[0], side_by_side(runs), options.out))}/compared.html",
                soft_wrap=True,
            )
    except StudyError as error:
        Console(stderr=True).print(
            f"[bold red]error[/] {escape(str(error))}", soft_wrap=True, highlight=False
        )
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m study.report", description="Tables, figures and a page from a run's Parquet files."
    )
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="folder of a run (runs/<study>), or a URI; several are also shown side by side",
    )
    parser.add_argument("--out", type=Path, help="where to write; left out, into RUN/report")
    parser.add_argument(
        "--heads",
        metavar="NAME,NAME",
        help=f"fit further heads on the chosen trial's stored embedding and keep them in the run: all, or some of {', '.join(POSTHOC_HEADS)}",
    )
    task = parser.add_mutually_exclusive_group()
    task.add_argument(
        "--why", metavar="TABLE:ROW:COLUMN", help="print the trials, predictions and settings behind a number"
    )
    task.add_argument(
        "--verify", action="store_true", help="compute every number of the written report again and compare"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
