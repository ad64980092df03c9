"""`python -m study.audit STUDY.yaml`: patients entered twice, photographs used twice, frames without an eye, leaking splits."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from study.data import audit
from study.data.cache import THUMB, ImageCache
from study.data.pairs import Pairs
from study.data.preprocessing import Preprocessing
from study.data.sheets import read_sheet
from study.data.source import open_dataset
from study.places import CACHE
from study.spec import components
from study.spec.components import Component
from study.spec.errors import SpecError, StorageError, StudyError
from study.spec.reading import parse_settings, parse_yaml
from study.spec.resolve import resolve

SHOWN = 12


@dataclass(frozen=True)
class Audited:
    """What the command line names.

    Attributes:
        dataset: the data set.
        root: where it lies.
        phantom_patients: size of the phantom where it stands in.
        unit: what a sample is.
        preprocessing: how its images are cached, as the study will want them.
        split: a split file to check.
    """

    dataset: Component
    root: Path | None
    phantom_patients: int | None
    unit: Literal["pair", "eye"]
    preprocessing: Preprocessing
    split: Path | None


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; 0 done, 2 the user must change something."""
    cli = argparse.ArgumentParser(
        prog="python -m study.audit", description="Find what makes a split by patient leak."
    )
    cli.add_argument(
        "study", type=Path, nargs="?", metavar="STUDY.yaml", help="study file whose data set is looked at"
    )
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
    cli.add_argument("--data", help="a data set instead of a study, by name or as YAML")
    cli.add_argument("--root", type=Path, help="where that data set lies")
    cli.add_argument("--split", type=Path, help="a split file to check; left out, the study's own")
    cli.add_argument(
        "--out", type=Path, default=Path("duplicates.csv"), help="CSV of the patients entered twice"
    )
    args = cli.parse_args(argv)
    try:
        _audit(_wanted(args), args.out, Console(highlight=False))
    except StudyError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"[bold red]error[/] {escape(str(error))}"
        )
        return 2
    return 0


def _wanted(args: argparse.Namespace) -> Audited:
    if (args.study is None) == (args.data is None):
        raise SpecError(
            "`STUDY.yaml`: give either a study file, or --data with --root. For example: --data odir5k --root FOLDER"
        )
    if args.data is not None:
        dataset = components.parse("dataset", parse_yaml(args.data, "--data"), "--data")
        return Audited(dataset, args.root, None, "pair", THUMB, args.split)
    spec = resolve(args.study, parse_settings(args.set), args.profile, torch.cuda.is_available()).spec
    data = spec.preset({}).data
    preprocessing = Preprocessing.of(data)
    return Audited(
        data.dataset,
        args.root or data.root,
        data.phantom_patients,
        data.unit,
        preprocessing,
        args.split or data.split.file,
    )


def _audit(wanted: Audited, out: Path, console: Console) -> None:
    pairs = open_dataset(wanted.dataset, wanted.root, num_patients=wanted.phantom_patients, unit=wanted.unit)
    with console.status("reading and comparing the images"):
        cache = ImageCache.build(
            pairs, wanted.preprocessing, CACHE, missing_eye="duplicate", on_bad_image="skip"
        )
        groups = audit.duplicate_groups(cache)
    found, poor = audit.duplicates(cache), audit.poor_frames(cache)
    _say_what_was_read(pairs, cache, console)
    console.print(
        f"\n[bold]{cache.pairs.table['patient'].nunique() - groups.max() - 1} patients entered again[/]"
    )
    _say_duplicates(found, pairs.num_views == 2, console)
    _say_poor(poor, cache, console)
    if wanted.split is not None:
        _say_split(
            audit.divided(cache, read_sheet(wanted.split, ["sample", "split"], text=["sample", "split"])),
            wanted.split,
            console,
        )
    try:
        found.to_csv(out, index=False, lineterminator="\n", float_format="%.4f")
    except OSError as error:
        raise StorageError(f"`--out`: must be a file to write to, got `{out}` ({error}).") from None
    console.print(f"\nwritten to {escape(str(out))}", soft_wrap=True)


def _say_what_was_read(pairs: Pairs, cache: ImageCache, console: Console) -> None:
    if pairs.synthetic:
        console.print(
            "[bold black on yellow] SYNTHETIC [/] drawn images: whoever looks alike is another drawing"
        )
    console.print(f"{pairs.dataset}: {pairs.table['patient'].nunique()} patients, {len(cache.thumbs)} images")


def _say_duplicates(found: pd.DataFrame, two_eyes: bool, console: Console) -> None:
    same = found["patient_a"] == found["patient_b"]
    sure = ~same & (found["evidence"] != audit.EVIDENCE[-1])
    _say_table(found[sure], console)
    crossed = sure & ~found["eyes"].str.contains("left=left|right=right") & two_eyes
    if crossed.any():
        console.print(f"[yellow]{crossed.sum()} of these pairs with left and right exchanged[/]")
    if same.any():
        console.print(
            f"\n[yellow]{same.sum()} patients have one photograph for both eyes[/]: {_names(found[same]['patient_a'])}"
        )
    perhaps = found[~same & ~sure]
    if len(perhaps):
        console.print(
            f"\n[bold]{len(perhaps)} pairs to look at[/]: alike, but too weak an evidence to act on"
        )
        _say_table(perhaps, console)


def _say_table(found: pd.DataFrame, console: Console) -> None:
    if found.empty:
        return
    table = Table(box=None, header_style="bold")
    for name, right in (
        ("patient", 0),
        ("is patient", 0),
        ("eyes", 0),
        ("evidence", 0),
        ("distance", 1),
        ("labels", 0),
    ):
        table.add_column(name, justify="right" if right else "left")
    for row in found.head(SHOWN).itertuples():
        words = (
            row.patient_a,
            row.patient_b,
            row.eyes,
            row.evidence,
            f"{row.distance:.3f}",
            "same" if row.same_labels else "differ",
        )
        table.add_row(*(escape(str(word)) for word in words))
    console.print(table)
    if len(found) > SHOWN:
        console.print(f"and {len(found) - SHOWN} more")


def _say_poor(poor: pd.DataFrame, cache: ImageCache, console: Console) -> None:
    if cache.bad:
        console.print(f"\n[yellow]{len(cache.bad)} images that cannot be read[/]: {_names(list(cache.bad))}")
    for what, images in poor.groupby("what", sort=False)["image"]:
        console.print(f"\n[yellow]{len(images)} images: {what}[/]: {_names(images)}")


def _say_split(divided: pd.DataFrame, path: Path, console: Console) -> None:
    leaks = " [red]it leaks[/]" if len(divided) else ""
    console.print(f"\n[bold]{escape(str(path))}[/]: {len(divided)} patients on more than one side{leaks}")
    for row in divided.head(SHOWN).itertuples():
        console.print(f"  {escape(str(row.patients))} in {escape(str(row.sides))}")


def _names(names: Sequence[str] | pd.Series) -> str:
    shown = ", ".join(list(names)[:5])
    return escape(shown + (f" and {len(names) - 5} more" if len(names) > 5 else ""))


if __name__ == "__main__":
    sys.exit(main())
