"""`python -m study.heatmaps RUN`: where the networks of finished trials look, for chosen and random patients.

It leaves `RUN/heatmaps/*.parquet`, from which `python -m study.report RUN` puts the figures into the page,
and the figures as SVG and PNG in `RUN/report/figures/`. It needs the weights of the trials: `keep_weights`
in the study file says how many trials of the search keep them.
"""

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from study.command import run_command
from study.engine.applying.heatmap_run import make_heatmaps
from study.engine.applying.heatmap_trials import trials_to_show
from study.evidence.cases import pick_cases
from study.evidence.heatmap_tables import HeatMaps, read_heatmaps, write_heatmaps
from study.reporting.figure import draw
from study.reporting.overlays import FIGURES
from study.reporting.run import Run, load_run
from study.spec.errors import StorageError

RANDOM = 6  # samples that are drawn where none is named


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Returns:
        0 where it is done, 2 where the user must change something.
    """
    args = parser().parse_args(argv)
    return run_command(lambda: _heatmaps(args, Console(highlight=False)))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    cli = argparse.ArgumentParser(
        prog="python -m study.heatmaps", description="Where the networks of finished trials look."
    )
    cli.add_argument("run", metavar="RUN", help="folder or URI of a run")
    cli.add_argument(
        "--trial",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY",
        help="trials side by side; left out, the search's best and the best of each ablation variant that "
        "kept weights. In the study file `keep_weights` says how many trials of the search keep theirs, "
        "`keep_weights_of` which ablations' do",
    )
    cli.add_argument(
        "--sample",
        nargs="+",
        action="extend",
        default=[],
        metavar="ID",
        help="samples of the test split to show",
    )
    cli.add_argument(
        "--random",
        type=int,
        metavar="N",
        help=f"test samples drawn at random, half of them wrong; {RANDOM} where no --sample is given",
    )
    cli.add_argument(
        "--label",
        metavar="L",
        help="the label to explain; left out, each sample's surest right or most wrong one",
    )
    return cli


def _heatmaps(args: argparse.Namespace, console: Console) -> int:
    run = load_run(args.run)
    store = run.store
    trials = trials_to_show(store, args.trial)
    num_random = args.random
    if num_random is None:
        num_random = 0 if args.sample else RANDOM
    reference = trials[0]
    cases = pick_cases(
        reference.predictions, reference.decided, run.labels, args.sample, num_random, args.label
    )
    with console.status("") as status:
        rows = make_heatmaps(store, trials, cases, lambda step: status.update(escape(step)))
        write_heatmaps(store, rows)
        _draw_figures(run)
    maps = read_heatmaps(store)
    if maps is None:
        raise StorageError(
            f"`{store.where}/heatmaps`: must be readable after it was written, "
            f"got: {'; '.join(store.problems)}. Try again."
        )
    if run.synthetic:
        console.print("[bold red]SYNTHETIC[/]: made-up images, not patients.")
    console.print(_checks(maps))
    console.print(f"Figures: {escape(store.place('report', 'figures', 'heatmaps*.png'))}", soft_wrap=True)
    console.print(f"For the page: python -m study.report {escape(args.run)}", soft_wrap=True)
    return 0


def _draw_figures(run: Run) -> None:
    """Writes the figures beside those of the report."""
    for name in FIGURES:
        drawing = draw(name, run)
        if drawing is not None:
            run.store.write_bytes(f"report/figures/{name}.svg", drawing.svg.encode())
            run.store.write_bytes(f"report/figures/{name}.png", drawing.png)


def _checks(maps: HeatMaps) -> Table:
    """How like the trained maps the maps still are when the weights are randomised, from the head down."""
    title = "Likeness to the trained map as weights are randomised"
    table = Table(box=None, header_style="bold", title=title, title_justify="left")
    table.add_column("trial")
    table.add_column("down to")
    table.add_column("rank correlation", justify="right")
    table.add_column("SSIM", justify="right")
    for trial, rows in maps.checks.groupby("trial", sort=False):
        name = escape(str(trial))
        for row in rows.sort_values("place").itertuples():
            table.add_row(name, str(row.step), f"{row.rank_correlation:.2f}", f"{row.ssim:.2f}")
            name = ""
    return table


if __name__ == "__main__":
    sys.exit(main())
