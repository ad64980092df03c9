"""`python -m study.predict RUN`: the chosen trial of a run, applied to samples that it has never seen."""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape

from study.applied_files import Out, written
from study.command import run_command
from study.data.cohort import open_cohort
from study.data.pairs import Pairs
from study.data.source import at_frame, open_dataset
from study.engine.applying.apply import (
    ChosenTrial,
    chosen_trial,
    mean_with_mirrored,
    pair_of_files,
    predict,
    stored_predictions,
    thresholds_of,
    with_labels,
)
from study.engine.applying.ensemble import Members, chosen_ensemble, predict_by_members
from study.evidence.decisions import decide
from study.evidence.external_test import external_test
from study.evidence.predictions import Embeddings, Predictions
from study.evidence.store import Store
from study.external_tables import one_patient, show_external_test
from study.places import CACHE
from study.similar_cases import Place, cases_to_search, show_similar
from study.spec import components
from study.spec.errors import DataError, SpecError, StorageError
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
    cli.add_argument("--root", help="where the data set lies; with --export that of the study")
    cli.add_argument(
        "--export",
        type=Path,
        metavar="FILE",
        help="write the network with labels and thresholds, check it on the test patients, and end: FILE.pt2 "
        "for torch.export.load, FILE.onnx as ONNX",
    )
    cli.add_argument(
        "--flip",
        action="store_true",
        help="mean of the probabilities of each patient and of the patient's mirror image, with the eyes "
        "exchanged",
    )
    cli.add_argument("--left", type=Path, help="one patient: the left eye's image, or the only image")
    cli.add_argument("--right", type=Path, help="one patient: the right eye's image")
    _add_outputs(cli)
    return cli


def _add_outputs(cli: argparse.ArgumentParser) -> None:
    cli.add_argument(
        "--csv", type=Path, metavar="FILE", help="also write the probabilities as ODIR-5K takes submissions"
    )
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


def _predict(args: argparse.Namespace, console: Console) -> int:
    store = Store(args.run)
    study = store.read_study()
    trial, members = chosen_ensemble(store) if args.ensemble else (chosen_trial(store, args.trial), {})
    _check_options(args)
    labels = tuple(study["labels"])
    if args.export:
        return _export(store, trial, study, args, console)
    known = None if args.similar is None else cases_to_search(store, trial.key, args.similar)
    asked = _pairs_like_the_run(args, trial.spec, study)
    predictions, embeddings, pairs = _apply(store, trial, members, asked, mirrored=False)
    plain = predictions if args.flip else None
    if plain is not None:
        predictions = mean_with_mirrored(plain, _apply(store, trial, members, asked, mirrored=True)[0])
    thresholds = np.broadcast_to(thresholds_of(store, trial, pairs.kind), len(labels))
    decided = decide(predictions.score, pairs.kind, thresholds)
    head = predictions.head + (f" ({predictions.setting})" if predictions.setting else "")
    console.print(f"{trial.key}, {head}, on {len(pairs)} samples of {pairs.dataset}")
    cautions = _cautions(store, next(iter(members), trial.key), pairs)
    for line in (*cautions, *_left_out(pairs), *(_of_mirror_images(trial, pairs.kind) if args.flip else ())):
        console.print(line)
    if pairs.kind == "multilabel":
        console.print(f"decided {THRESHOLD_WORDS[trial.spec.thresholds]}")
    if args.left:
        console.print(one_patient(predictions.score[0], decided[0], thresholds, labels, pairs.kind))
    elif num_known := len(predictions.known().sample):
        own = None if members else _own_test(store, trial)
        found = external_test(predictions, own, pairs.kind, labels, thresholds, plain)
        show_external_test(found, num_known, labels, console)
        if not args.out:
            text = found.to_csv(index=False, float_format="%.6g", lineterminator="\n")
            store.write_bytes(f"predictions/{pairs.dataset}.metrics.csv", text.encode())
    out = None if args.left and not args.out else Out(store, args.out, pairs.dataset)
    for place in written(predictions, decided, pairs.labels, args.csv, out):
        console.print(f"written to {place}", soft_wrap=True)
    if known is not None and embeddings is not None:
        beside = Place(store, args.out, args.left.stem if args.left else pairs.dataset)
        show_similar(trial, known, embeddings, args.similar, pairs, beside, console)
    return 0


def _check_options(args: argparse.Namespace) -> None:
    if args.flip and args.export:
        raise SpecError("`--flip`: needs samples to predict, got --export. Leave one of them out.")
    if args.ensemble and args.similar is not None:
        raise SpecError(
            "`--similar`: needs the embedding of one trial, got --ensemble. Leave one of them out."
        )


def _export(
    store: Store, trial: ChosenTrial, study: Mapping[str, Any], args: argparse.Namespace, console: Console
) -> int:
    """Writes the network as a file of its own."""
    from study.engine.applying.export import export_network  # torch.export takes a while to load

    data = trial.spec.data
    samples, on = None, "two images of noise"
    try:
        cohort = open_cohort(data.model_copy(update={"root": args.root or data.root}), CACHE)
        samples = cohort.images_of("test")
        on = f"the {len(samples.rows)} test samples"
    except DataError as error:
        if args.root:
            raise
        console.print(f"[yellow]not checked on the test patients[/]: {escape(str(error))}", soft_wrap=True)
    thresholds = np.broadcast_to(thresholds_of(store, trial, study["kind"]), len(study["labels"]))
    distance = export_network(store, trial, study, thresholds, args.export, samples)
    console.print(
        f"{trial.key} written to {args.export}; on {on} its probabilities differ by at most {distance:.1g}",
        soft_wrap=True,
    )
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


def _apply(
    store: Store, trial: ChosenTrial, members: Members, pairs: Pairs, *, mirrored: bool
) -> tuple[Predictions, Embeddings | None, Pairs]:
    """What the trial, or the ensemble of these members, says of the samples or of their mirror images."""
    if members:
        predictions, used = predict_by_members(store, trial, members, pairs, CACHE, mirrored=mirrored)
        return predictions, None, used
    return predict(store, trial, pairs, CACHE, mirrored=mirrored)


def _of_mirror_images(trial: ChosenTrial, kind: LabelKind) -> Iterator[str]:
    """What a reader must know of the mean with mirror images."""
    if kind == "multilabel":
        yield "thresholds are those of the images alone, and so are the numbers of the study's test"
    else:
        yield "the numbers of the study's test are those of the images alone"
    if not trial.spec.data.augmentation.flip:
        yield "[yellow]the trial was trained without mirror images (`data.augmentation.flip: false`)[/]"


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


def _own_test(store: Store, trial: ChosenTrial) -> Predictions | None:
    """The trial's predictions of the study's test samples; None where there are none."""
    try:
        return stored_predictions(store, trial, "test")
    except StorageError:
        return None


if __name__ == "__main__":
    sys.exit(main())
