"""`python -m study.predict RUN`: the chosen trial of a run, applied to samples that it has never seen."""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from jaxtyping import Bool, Float
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from study.command import run_command
from study.data.pairs import Pairs
from study.data.source import at_frame, open_dataset
from study.engine.applying.apply import (
    ChosenTrial,
    chosen_trial,
    pair_of_files,
    predict,
    stored_predictions,
    thresholds_of,
    with_labels,
)
from study.engine.applying.ensemble import chosen_ensemble, predict_by_members
from study.evidence.arrow_tables import list_column
from study.evidence.decisions import decide
from study.evidence.external_test import external_test
from study.evidence.predictions import Predictions
from study.evidence.schema import APPLIED
from study.evidence.store import Store
from study.external_tables import show_external_test
from study.places import CACHE
from study.similar_cases import Place, cases_to_search, show_similar
from study.spec import components
from study.spec.errors import SpecError, StorageError
from study.spec.reading import parse_yaml
from study.spec.task import LabelKind
from study.spec.trial_spec import TrialSpec
from study.spec.wording import THRESHOLD_WORDS


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Returns:
        0 where it is done, 2 where the user must change something.
    """
    args = parser().parse_args(argv)
    return run_command(lambda: _predict(args, Console(highlight=False)))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    cli = argparse.ArgumentParser(
        prog="python -m study.predict", description="Apply a run's chosen trial to new samples."
    )
    cli.add_argument("run", metavar="RUN", help="folder or URI of a run")
    which = cli.add_mutually_exclusive_group()
    which.add_argument("--trial", help="a trial's key; left out, the search's best")
    which.add_argument(
        "--ensemble", action="store_true", help="the run's ensemble, whose members need their weights"
    )
    cli.add_argument(
        "--data", help="a data set, by name or as YAML, for instance '{name: table, labels: []}'"
    )
    cli.add_argument("--root", help="where the data set lies")
    cli.add_argument(
        "--export",
        type=Path,
        metavar="FILE.pt2",
        help="write the network for torch.export.load, with labels and thresholds, check it, and end",
    )
    cli.add_argument(
        "--csv", type=Path, metavar="FILE", help="also write the probabilities as ODIR-5K takes submissions"
    )
    cli.add_argument("--left", type=Path, help="one patient: the left eye's image, or the only image")
    cli.add_argument("--right", type=Path, help="one patient: the right eye's image")
    cli.add_argument(
        "--similar",
        type=int,
        metavar="N",
        help="show the N training samples that are most similar to each sample, and leave them beside the "
        "predictions NAME.parquet as NAME.similar.parquet and, with photographs, NAME.similar.png",
    )
    cli.add_argument(
        "--out",
        type=Path,
        help="Parquet file to write; left out, RUN/predictions/DATASET.parquet (nothing for one patient, "
        "whose similar cases are named after the image)",
    )
    return cli


def _predict(args: argparse.Namespace, console: Console) -> int:
    store = Store(args.run)
    study = store.read_study()
    trial, members = chosen_ensemble(store) if args.ensemble else (chosen_trial(store, args.trial), {})
    if args.ensemble and args.similar is not None:
        raise SpecError(
            "`--similar`: needs the embedding of one trial, got --ensemble. Leave one of them out."
        )
    labels = tuple(study["labels"])
    if args.export:
        return _export(store, trial, study, args.export, console)
    known = None if args.similar is None else cases_to_search(store, trial.key, args.similar)
    pairs = _pairs_like_the_run(args, trial.spec, study)
    if members:
        predictions, pairs = predict_by_members(store, trial, members, pairs, CACHE)
    else:
        predictions, embeddings, pairs = predict(store, trial, pairs, CACHE)
    thresholds = np.broadcast_to(thresholds_of(store, trial, pairs.kind), len(labels))
    decided = decide(predictions.score, pairs.kind, thresholds)
    head = predictions.head + (f" ({predictions.setting})" if predictions.setting else "")
    console.print(f"{trial.key}, {head}, on {len(pairs)} samples of {pairs.dataset}")
    for line in (*_cautions(store, next(iter(members), trial.key), pairs), *_left_out(pairs)):
        console.print(line)
    if pairs.kind == "multilabel":
        console.print(f"decided {THRESHOLD_WORDS[trial.spec.thresholds]}")
    if args.left:
        console.print(_one_patient(predictions.score[0], decided[0], thresholds, labels, pairs.kind))
    elif len(predictions.known().sample):
        own = None if members else _own_test(store, trial)
        found = external_test(predictions, own, pairs.kind, labels, thresholds)
        show_external_test(found, len(predictions.known().sample), labels, console)
        if not args.out:
            text = found.to_csv(index=False, float_format="%.6g", lineterminator="\n")
            store.write_bytes(f"predictions/{pairs.dataset}.metrics.csv", text.encode())
    for place in _written(args, predictions, decided, store, pairs):
        console.print(f"written to {place}", soft_wrap=True)
    if known is not None:
        beside = Place(store, args.out, args.left.stem if args.left else pairs.dataset)
        show_similar(trial, known, embeddings, args.similar, pairs, beside, console)
    return 0


def _export(store: Store, trial: ChosenTrial, study: Mapping[str, Any], path: Path, console: Console) -> int:
    """Writes the network as a file of its own."""
    from study.engine.applying.export import export_network  # torch.export takes a while to load

    thresholds = np.broadcast_to(thresholds_of(store, trial, study["kind"]), len(study["labels"]))
    distance = export_network(store, trial, study, thresholds, path)
    console.print(f"{trial.key} written to {path}; its probabilities differ by at most {distance:.1g}")
    return 0


def _pairs(args: argparse.Namespace, spec: TrialSpec, kind: LabelKind, labels: tuple[str, ...]) -> Pairs:
    """The samples that the command line names."""
    if args.left:
        return at_frame(pair_of_files(args.left, args.right, labels, kind), spec.data.frame)
    if args.right:
        raise SpecError("`--right`: must come with --left, got --right alone. Give the only image as --left.")
    if not args.data:
        raise SpecError(
            "`--data`: must be given, or --left and --right for one patient, got neither. "
            "For example: --data odir5k --root FOLDER"
        )
    dataset = components.parse("dataset", parse_yaml(args.data, "--data"), "--data")
    return open_dataset(spec.data.model_copy(update={"dataset": dataset, "root": args.root}))


def _pairs_like_the_run(args: argparse.Namespace, spec: TrialSpec, study: Mapping[str, Any]) -> Pairs:
    """The samples with the run's labels, and with as many images each as the run's data have."""
    labels = tuple(study["labels"])
    pairs = with_labels(_pairs(args, spec, study["kind"], labels), labels)
    if pairs.num_views != study["num_views"]:
        raise SpecError(
            f"`--data`: must have {study['num_views']} images of each sample, as the run's data have, "
            f"got {pairs.num_views}. Name another data set."
        )
    return pairs


def _left_out(pairs: Pairs) -> list[str]:
    """What was passed over in the data, a line each."""
    skipped = [
        f"skipped {len(names)} samples: {why.replace('_', ' ')}" for why, names in pairs.skipped.items()
    ]
    return [*map(escape, pairs.notes), *skipped]


def _cautions(store: Store, key: str, pairs: Pairs) -> list[str]:
    """What a reader of the metrics must know of the data, a line each."""
    study, lines = store.read_study(), []
    drawn = [verb for verb, yes in (("trained", study["synthetic"]), ("applied", pairs.synthetic)) if yes]
    if drawn:
        lines.append(f"[bold black on yellow] SYNTHETIC [/] {' and '.join(drawn)} on drawn images")
    own = set(store.read("embeddings", [key], ["patient"])["patient"])
    same_names = own & set(pairs.table["patient"])
    if same_names and pairs.dataset == study["dataset"]:
        lines.append(
            f"[yellow]{len(same_names)} patients have the names of patients of the study; if they are the "
            "same people, the metrics are better than they would be on new patients[/]"
        )
    return lines


def _one_patient(
    score: Float[np.ndarray, " l"],
    decided: Bool[np.ndarray, " l"],
    thresholds: Float[np.ndarray, " l"],
    labels: tuple[str, ...],
    kind: LabelKind,
) -> Table:
    """The probability of each label, the greatest first, with its threshold and what is decided."""
    columns = {
        "label": [escape(label) for label in labels],
        "probability": [f"{value:.3f}" for value in score],
        "threshold": [f"{value:.3f}" for value in thresholds],
        "decided": ["yes" if yes else "no" for yes in decided],
    }
    if kind != "multilabel":
        del columns["threshold"]
    table = Table(box=None, header_style="bold")
    for name in columns:
        table.add_column(name, justify="left" if name == "label" else "right")
    for place in np.argsort(-score, kind="stable"):
        table.add_row(*(values[place] for values in columns.values()))
    return table


def _own_test(store: Store, trial: ChosenTrial) -> Predictions | None:
    """The trial's predictions of the study's test samples; None where there are none."""
    try:
        return stored_predictions(store, trial, "test")
    except StorageError:
        return None


def _written(
    args: argparse.Namespace,
    predictions: Predictions,
    decided: Bool[np.ndarray, "n l"],
    store: Store,
    pairs: Pairs,
) -> Iterator[str]:
    """Writes what the command line asks for, and gives each place."""
    if args.csv:
        _write_csv(predictions, pairs.labels, args.csv)
        yield str(args.csv)
    if args.out or not args.left:
        yield _write(predictions, decided, store, args.out, pairs.dataset)


def _write_csv(predictions: Predictions, labels: tuple[str, ...], path: Path) -> None:
    """The form in which ODIR-5K takes submissions: a line for each sample, a column for each label."""
    frame = pd.DataFrame(predictions.score, columns=list(labels))
    frame.insert(0, "ID", predictions.sample)
    try:
        frame.to_csv(path, index=False, float_format="%.6f", lineterminator="\n")
    except OSError as error:
        raise StorageError(
            f"`--csv`: must be a file that can be written, got `{path}` ({error}). Name another one."
        ) from None


def _write(
    predictions: Predictions,
    decided: Bool[np.ndarray, "n l"],
    store: Store,
    out: Path | None,
    dataset: str,
) -> str:
    """Writes the predictions and what is decided from them as Parquet, and gives the place."""
    table = predictions.table().append_column(APPLIED.field("decided"), list_column(decided))
    try:
        if out is not None:
            pq.write_table(table, out, compression="zstd")
            return str(out)
        store.filesystem.create_dir(f"{store.root}/predictions", recursive=True)
        path = f"{store.root}/predictions/{dataset}.parquet"
        pq.write_table(table, path, filesystem=store.filesystem, compression="zstd")
    except OSError as error:
        raise StorageError(
            f"`--out`: must be a place to write to, got `{out or store.where}` ({error}). Name another one."
        ) from None
    return store.place("predictions", f"{dataset}.parquet")


if __name__ == "__main__":
    sys.exit(main())
