"""`python -m study.predict RUN`: the chosen trial of a run, applied to pairs that it has never seen."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from study.data.pairs import Pairs
from study.data.source import open_dataset
from study.engine.applying.apply import chosen_trial, pair_of_files, predict, with_labels
from study.evidence.decisions import decide
from study.evidence.metrics import metrics_of, values
from study.evidence.predictions import Predictions
from study.evidence.store import Store
from study.places import CACHE
from study.spec import components
from study.spec.errors import SpecError, StorageError, StudyError
from study.spec.reading import parse_yaml
from study.spec.trial_spec import TrialSpec


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; 0 done, 2 the user must change something."""
    cli = argparse.ArgumentParser(
        prog="python -m study.predict", description="Apply a run's chosen trial to new pairs."
    )
    cli.add_argument("run", metavar="RUN", help="folder or URI of a run")
    cli.add_argument("--trial", help="a trial's key; left out, the search's best")
    cli.add_argument(
        "--data", help="a data set, by name or as YAML, for instance '{name: table, labels: []}'"
    )
    cli.add_argument("--root", type=Path, help="where the data set lies")
    cli.add_argument("--left", type=Path, help="one patient: the left eye's image, or the only image")
    cli.add_argument("--right", type=Path, help="one patient: the right eye's image")
    cli.add_argument(
        "--out",
        type=Path,
        help="Parquet file to write; left out, RUN/predictions/DATASET.parquet (nothing for one patient)",
    )
    args = cli.parse_args(argv)
    try:
        _predict(args, Console(highlight=False))
    except StudyError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"[bold red]error[/] {escape(str(error))}"
        )
        return 2
    return 0


def _predict(args: argparse.Namespace, console: Console) -> None:
    store = Store(args.run)
    study = store.read_study()
    record = chosen_trial(store, args.trial)
    spec = TrialSpec.read(json.loads(str(record["spec"])))
    labels = tuple(study["labels"])
    pairs = with_labels(_pairs(args, spec, study["kind"], labels), labels)
    if pairs.num_views != study["num_views"]:
        raise SpecError(
            f"`--data`: must have {study['num_views']} images of each sample, as the run's, got {pairs.num_views}."
        )
    predictions, pairs = predict(store, record, spec, pairs, CACHE)
    head = predictions.head + (f" ({predictions.setting})" if predictions.setting else "")
    console.print(f"{record['trial']}, {head}, on {len(pairs)} samples of {pairs.dataset}")
    if study["synthetic"] or pairs.synthetic:
        made = " and ".join(
            name for name, drawn in (("trained", study["synthetic"]), ("applied", pairs.synthetic)) if drawn
        )
        console.print(f"[bold black on yellow] SYNTHETIC [/] {made} on drawn images")
    seen = set(store.read("embeddings", [str(record["trial"])], ["patient"])["patient"]) & set(
        pairs.table["patient"]
    )
    if seen and pairs.dataset == study["dataset"]:
        console.print(
            f"[yellow]{len(seen)} patients bear names of the study's own; if they are the same people, the metrics flatter[/]"
        )
    for reason, names in pairs.skipped.items():
        console.print(f"skipped {len(names)} samples: {reason.replace('_', ' ')}")
    if args.left:
        console.print(_one_patient(predictions, labels))
    elif len(predictions.known().sample):
        console.print(_metrics(predictions, pairs))
    if args.out or not args.left:
        console.print(f"written to {_write(predictions, store, args.out, pairs.dataset)}", soft_wrap=True)


def _pairs(args: argparse.Namespace, spec: TrialSpec, kind: str, labels: tuple[str, ...]) -> Pairs:
    if args.left:
        return pair_of_files(args.left, args.right, labels, kind)
    if args.right:
        raise SpecError("`--right`: must come with --left, got --right alone.")
    if not args.data:
        raise SpecError(
            "`--data`: must be given, or --left and --right for one patient. For example: --data odir5k --root FOLDER"
        )
    dataset = components.parse("dataset", parse_yaml(args.data, "--data"), "--data")
    return open_dataset(dataset, args.root, num_patients=spec.data.phantom_patients, unit=spec.data.unit)


def _one_patient(predictions: Predictions, labels: tuple[str, ...]) -> Table:
    table = Table(box=None, header_style="bold")
    table.add_column("label")
    table.add_column("probability", justify="right")
    for label, score in sorted(zip(labels, predictions.score[0], strict=True), key=lambda item: -item[1]):
        table.add_row(escape(label), f"{score:.3f}")
    return table


def _metrics(predictions: Predictions, pairs: Pairs) -> Table:
    """Every aggregate metric on the samples whose labels are known."""
    known = predictions.known()
    found = values(pairs.kind, known.target, known.score, decide(known.score, pairs.kind))
    table = Table(
        box=None,
        header_style="bold",
        title=f"{len(known.sample)} samples with known labels",
        title_justify="left",
    )
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, metric in metrics_of(pairs.kind).items():
        if not metric.per_label:
            table.add_row(name, f"{found[name][0]:.3f}")
    return table


def _write(predictions: Predictions, store: Store, out: Path | None, dataset: str) -> str:
    table = predictions.table()
    try:
        if out is not None:
            pq.write_table(table, out, compression="zstd")
            return str(out)
        store.filesystem.create_dir(f"{store.root}/predictions", recursive=True)
        pq.write_table(
            table,
            f"{store.root}/predictions/{dataset}.parquet",
            filesystem=store.filesystem,
            compression="zstd",
        )
    except OSError as error:
        raise StorageError(
            f"`--out`: must be a place to write to, got `{out or store.where}` ({error})."
        ) from None
    return f"{store.where}/predictions/{dataset}.parquet"


if __name__ == "__main__":
    sys.exit(main())
