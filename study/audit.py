"""`python -m study.audit STUDY.yaml`: finds patients entered twice, poor frames and leaking splits.

With `--price` it trains the first configuration of the study, or the chosen one of a run, with and without
images of the test patients, and says how much of a result such a leak would be.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from study.command import add_setting_options, run_command
from study.data import audit
from study.data.cache import THUMBNAIL, ImageCache
from study.data.pairs import Pairs
from study.data.preprocessing import Preprocessing
from study.data.sheets import read_sheet
from study.data.source import open_dataset
from study.evidence.run_tables import write_run_table
from study.evidence.store import Store
from study.places import CACHE
from study.spec import components
from study.spec.data_section import DataSpec
from study.spec.errors import SpecError, StorageError
from study.spec.reading import parse_settings, parse_yaml
from study.spec.resolve import resolve
from study.spec.trial_spec import TrialSpec

MAX_ROWS = 12
MAX_NAMES = 5


@dataclass(frozen=True)
class Request:
    """What the command line asks for.

    Attributes:
        data: The data set.
        preprocessing: How its images are cached; that of the study, where there is one.
        split: A split file to check.
    """

    data: DataSpec
    preprocessing: Preprocessing
    split: Path | None


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; 0 done, 2 the user must change something."""
    args = parser().parse_args(argv)
    console = Console(highlight=False)
    if args.price is not None:
        return run_command(lambda: _price(args, console))
    return run_command(lambda: _audit(_request(args), args.out, console))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    cli = argparse.ArgumentParser(
        prog="python -m study.audit", description="Find what makes a split by patient leak."
    )
    cli.add_argument(
        "study", type=Path, nargs="?", metavar="STUDY.yaml", help="study file whose data set is examined"
    )
    add_setting_options(cli)
    cli.add_argument("--data", help="a data set instead of a study, by name or as YAML")
    cli.add_argument("--root", help="where that data set lies")
    cli.add_argument("--split", type=Path, help="a split file to check; without it, the study's own")
    cli.add_argument(
        "--run",
        metavar="RUN",
        help="with --price: a run in place of a study; its report then shows the price",
    )
    cli.add_argument(
        "--price",
        type=int,
        nargs="?",
        const=3,
        metavar="DIVISIONS",
        help="train on single eyes with and without images of the test patients, on 3 divisions or as many "
        "as given",
    )
    cli.add_argument(
        "--out",
        type=Path,
        help="CSV of the patients entered twice (duplicates.csv), or of what a leak is worth (price.csv)",
    )
    return cli


def _request(args: argparse.Namespace) -> Request:
    if args.run is not None:
        raise SpecError(
            "`--run`: is for the price of a leak, got no --price. Add --price, or give a study file."
        )
    if (args.study is None) == (args.data is None):
        raise SpecError(
            "`STUDY.yaml`: give either a study file, or --data with --root. "
            "For example: --data odir5k --root FOLDER"
        )
    if args.data is not None:
        dataset = components.parse("dataset", parse_yaml(args.data, "--data"), "--data")
        return Request(DataSpec(dataset=dataset, root=args.root), THUMBNAIL, args.split)
    import torch  # needed for this question alone, and slow to load

    has_gpu = torch.cuda.is_available()
    spec = resolve(args.study, parse_settings(args.set), args.profile, has_gpu=has_gpu).spec
    data = spec.preset({}).data
    if args.root is not None:
        data = data.model_copy(update={"root": args.root})
    return Request(data, Preprocessing.of(data), args.split or data.split.file)


def _audit(request: Request, out: Path | None, console: Console) -> int:
    pairs = open_dataset(request.data)
    with console.status("reading and comparing the images"):
        cache = ImageCache.build(
            pairs, request.preprocessing, CACHE, missing_eye="duplicate", on_bad_image="skip"
        )
        groups = audit.duplicate_groups(cache)
    found, poor = audit.duplicates(cache), audit.poor_frames(cache)
    _say_what_was_read(pairs, cache, console)
    num_again = cache.pairs.table["patient"].nunique() - groups.max() - 1
    console.print(f"\n[bold]{num_again} patients entered again[/]")
    _say_duplicates(found, cache, console)
    _say_poor(poor, cache, console)
    if request.split is not None:
        split = read_sheet(request.split, ["sample", "split"], text=["sample", "split"])
        _say_split(audit.divided_groups(cache, split), request.split, console)
    _write(found, out or Path("duplicates.csv"), console)
    return 0


def _price(args: argparse.Namespace, console: Console) -> int:
    from study.engine.training.leakage import price_of_leakage  # torch is slow to load
    from study.reporting.price_table import price_frame, price_text

    if (args.study is None) == (args.run is None) or args.price < 2:
        raise SpecError(
            "`--price`: needs either a study file or --run, and at least 2 divisions, since one says nothing "
            "about chance. For example: "
            "python -m study.audit search_spaces/odir_frozen.yaml --set data.root=FOLDER --price 3"
        )
    if args.run is not None and (args.set or args.profile != "auto"):
        raise SpecError(
            "`--run`: is trained with the settings of its chosen trial, got --set or --profile, too. "
            "Leave them out, or give a study file in place of the run."
        )
    trial, spec = _priced(args)
    with console.status("training") as status:

        def progress(done: int, total: int) -> None:
            status.update(f"training, {done} of {total} done")

        found = price_of_leakage(spec, args.price, CACHE, progress)
    console.print(price_text(found, args.price))
    frame = price_frame(found)
    if args.run is not None:
        rows = frame.assign(divisions=args.price, trial=trial)
        write_run_table(
            Store(args.run), "leakage", pa.Table.from_pandas(rows, preserve_index=False).to_pylist()
        )
        console.print(
            f"\nkept in the run: python -m study.report {escape(args.run)} shows it", soft_wrap=True
        )
    if args.run is None or args.out is not None:
        _write(frame, args.out or Path("price.csv"), console)
    return 0


def _priced(args: argparse.Namespace) -> tuple[str, TrialSpec]:
    """The configuration to be trained, after the key of its trial where it is a run's."""
    from study.engine.applying.apply import chosen_trial  # torch is slow to load
    from study.engine.training.leakage import for_single_eyes

    if args.run is not None:
        trial = chosen_trial(Store(args.run), None)
        spec = trial.spec
        if args.root is not None:
            spec = spec.model_copy(update={"data": spec.data.model_copy(update={"root": args.root})})
        return trial.key, for_single_eyes(spec)
    import torch

    settings = parse_settings(args.set) | {"data.unit": "eye"}
    if args.root is not None:
        settings["data.root"] = args.root
    return "", resolve(args.study, settings, args.profile, has_gpu=torch.cuda.is_available()).spec.preset({})


def _write(table: pd.DataFrame, out: Path, console: Console) -> None:
    try:
        table.to_csv(out, index=False, lineterminator="\n", float_format="%.4f")
    except OSError as error:
        raise StorageError(
            f"`--out`: must be a file to write to, got `{out}` ({error}). Give another one."
        ) from None
    console.print(f"\nwritten to {escape(str(out))}", soft_wrap=True)


def _say_what_was_read(pairs: Pairs, cache: ImageCache, console: Console) -> None:
    if pairs.synthetic:
        warning = "drawn images: two that look alike are two drawings, not one patient"
        console.print(f"[bold black on yellow] SYNTHETIC [/] {warning}")
    console.print(f"{pairs.dataset}: {pairs.table['patient'].nunique()} patients, {len(cache.thumbs)} images")


def _say_duplicates(found: pd.DataFrame, cache: ImageCache, console: Console) -> None:
    same = found["patient_a"] == found["patient_b"]
    sure = ~same & (found["evidence"] != audit.PERHAPS)
    _say_pairs(found[sure], console)
    crossed = sure & ~found["eyes"].str.contains("left=left|right=right") & (cache.pairs.num_views == 2)
    if crossed.any():
        console.print(f"[yellow]{crossed.sum()} of these pairs with left and right exchanged[/]")
    if same.any():
        names = _names(found[same]["patient_a"].tolist())
        console.print(f"\n[yellow]{same.sum()} patients have one photograph for both eyes[/]: {names}")
    perhaps = found[~same & ~sure]
    if len(perhaps):
        console.print(
            f"\n[bold]{len(perhaps)} pairs to look at[/]: they look alike, "
            "but the evidence is too weak to take them for one patient"
        )
        _say_pairs(perhaps, console)


def _say_pairs(found: pd.DataFrame, console: Console) -> None:
    if found.empty:
        return
    table = Table(box=None, header_style="bold")
    for name in ("patient", "is patient", "eyes", "evidence", "distance", "labels"):
        table.add_column(name, justify="right" if name == "distance" else "left")
    for row in found.head(MAX_ROWS).to_dict("records"):
        labels = "same" if row["same_labels"] else "differ"
        who = (row["patient_a"], row["patient_b"], row["eyes"], row["evidence"])
        table.add_row(*(escape(str(text)) for text in (*who, f"{row['distance']:.3f}", labels)))
    console.print(table)
    if len(found) > MAX_ROWS:
        console.print(f"and {len(found) - MAX_ROWS} more")


def _say_poor(poor: pd.DataFrame, cache: ImageCache, console: Console) -> None:
    if cache.bad:
        console.print(f"\n[yellow]{len(cache.bad)} images that cannot be read[/]: {_names(list(cache.bad))}")
    for what, images in poor.groupby("what", sort=False)["image"]:
        console.print(f"\n[yellow]{len(images)} images: {what}[/]: {_names(images.tolist())}")


def _say_split(divided: pd.DataFrame, path: Path, console: Console) -> None:
    leaks = ": [red]it leaks[/]" if len(divided) else ""
    console.print(f"\n[bold]{escape(str(path))}[/]: {len(divided)} patients in more than one split{leaks}")
    for row in divided.head(MAX_ROWS).to_dict("records"):
        console.print(f"  {escape(row['patients'])} in {escape(row['splits'])}")


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return escape(", ".join(names[:MAX_NAMES]) + more)


if __name__ == "__main__":
    sys.exit(main())
