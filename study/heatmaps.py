"""`python -m study.heatmaps RUN`: where the networks of finished trials look, for chosen and for random test patients.

It leaves `RUN/heatmaps/*.parquet`, from which `python -m study.report RUN` puts the figures into the page, and the figures as SVG
and PNG in `RUN/report/figures/`. It needs the trials' weights: `keep_weights` in the study file says how many of the search's keep them.
"""

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from study.engine.applying.heatmap_run import make_heatmaps, trials_to_show
from study.evidence.cases import pick_cases
from study.evidence.heatmap_tables import HeatMaps, read_heatmaps, write_heatmaps
from study.reporting.figure import draw
from study.reporting.overlays import FIGURES
from study.reporting.run import load_run
from study.spec.errors import StorageError, StudyError

RANDOM = 6


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; 0 done, 2 the user must change something."""
    options = _parser().parse_args(arguments)
    try:
        _heatmaps(options, Console(highlight=False))
    except StudyError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"[bold red]error[/] {escape(str(error))}"
        )
        return 2
    return 0


def _heatmaps(options: argparse.Namespace, console: Console) -> None:
    run = load_run(options.run)
    store = run.store
    trials = trials_to_show(store, options.trial)
    num_random = options.random if options.random is not None else 0 if options.sample else RANDOM
    first = trials[0]
    cases = pick_cases(
        first.predictions, first.decided, run.labels, options.sample, num_random, options.label
    )
    with console.status("") as status:
        write_heatmaps(store, make_heatmaps(store, trials, cases, lambda said: status.update(escape(said))))
        for name in FIGURES:
            drawing = draw(name, run)
            for end, content in (("svg", drawing.svg.encode()), ("png", drawing.png)) if drawing else ():
                store.write_bytes(f"report/figures/{name}.{end}", content)
    found = read_heatmaps(store)
    if found is None:
        raise StorageError(
            f"`{store.where}/heatmaps`: must be readable after it was written, got: {'; '.join(store.problems)}"
        )
    if run.synthetic:
        console.print("[bold red]SYNTHETIC[/]: made-up images, not patients.")
    console.print(_checks(found))
    console.print(f"Figures: {escape(store.where)}/report/figures/heatmaps*.png", soft_wrap=True)
    console.print(f"For the page: python -m study.report {escape(options.run)}", soft_wrap=True)


def _checks(found: HeatMaps) -> Table:
    """How like the maps still are when the weights are randomised, from the head down."""
    table = Table(
        box=None,
        header_style="bold",
        title="Likeness to the trained map as weights are randomised",
        title_justify="left",
    )
    table.add_column("trial")
    table.add_column("down to")
    table.add_column("rank correlation", justify="right")
    table.add_column("SSIM", justify="right")
    for trial, rows in found.checks.groupby("trial", sort=False):
        for row in rows.sort_values("place").itertuples():
            table.add_row(escape(str(trial)), str(row.step), f"{row.rank_correlation:.2f}", f"{row.ssim:.2f}")
            trial = ""
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m study.heatmaps", description="Where the networks of finished trials look."
    )
    parser.add_argument("run", metavar="RUN", help="folder or URI of a run")
    parser.add_argument(
        "--trial", nargs="+", action="extend", default=[], metavar="KEY",
        help="trials side by side; left out, the search's best and the best of each ablation variant that kept weights. "
        "The study file's `keep_weights` says how many of the search's keep theirs, `keep_weights_of` which ablations' do",
    )  # fmt: skip
    parser.add_argument(
        "--sample",
        nargs="+",
        action="extend",
        default=[],
        metavar="ID",
        help="samples of the test split to show",
    )
    parser.add_argument(
        "--random",
        type=int,
        metavar="N",
        help=f"test samples drawn at random, half of them wrong; {RANDOM} where no --sample is given",
    )
    parser.add_argument(
        "--label",
        metavar="L",
        help="the label to explain; left out, each sample's surest right or most wrong one",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
