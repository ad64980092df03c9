"""A finished trial applied to samples that it has never seen."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from torch import Tensor

from models.siamese import SiameseNet
from study.data.batches import Batches
from study.data.cache import ImageCache
from study.data.cohort import open_images
from study.data.images import ImageFolder
from study.data.pairs import Pairs, fingerprint, pairs_table
from study.engine.training.fit import use_bfloat16
from study.engine.training.judge import judge_of
from study.engine.training.kept_weights import read_weights
from study.engine.training.network import rebuild_network
from study.engine.training.session import EVALUATION_BATCH
from study.evidence.decisions import HALF
from study.evidence.embed import EmbeddedSamples, embed, with_eyes_exchanged
from study.evidence.ensemble import mean_predictions
from study.evidence.heads import fit_heads
from study.evidence.predictions import NETWORK, Embeddings, Predictions, embeddings_of, predictions_of
from study.evidence.records import CONTENDERS, Role, State, best_first
from study.evidence.score import tuned_thresholds
from study.evidence.store import WEIGHTS, Store
from study.spec import components
from study.spec.errors import DataError, SpecError, StorageError, suggest
from study.spec.task import LabelKind
from study.spec.trial_spec import TrialSpec

WITH_MIRRORED = "mean with the mirror image"
NEW = "new"  # the split of samples that the study has not seen


@dataclass(frozen=True)
class ChosenTrial:
    """A finished trial that is used again.

    Attributes:
        key: Key of the trial.
        spec: Its specification, whose rules for missing eyes and bad images hold for new samples too.
        head: The head that gave the trial its value.
    """

    key: str
    spec: TrialSpec
    head: str

    @classmethod
    def from_row(cls, row: Mapping[str, object]) -> Self:
        """The trial of its row of TRIAL."""
        return cls(str(row["trial"]), TrialSpec.read(json.loads(str(row["spec"]))), str(row["head"]))

    @property
    def trains_head(self) -> bool:
        """Whether the trial's loss trained the network's own head."""
        return bool(components.load("loss", self.spec.loss.name).trains_head)


def chosen_trial(store: Store, key: str | None) -> ChosenTrial:
    """The trial of that key, or the best complete one of the search, fine-tuned or not.

    Raises:
        SpecError: There is no such trial, or none is complete.
    """
    trials = store.read("trial", columns=["trial", "role", "state", "value", "spec", "head"])
    complete = trials[
        (trials["state"] == State.COMPLETE) & ~trials["role"].isin([Role.BASELINE, Role.ENSEMBLE])
    ]
    if key is not None:
        complete = complete[complete["trial"] == key]
        if complete.empty:
            known = suggest(key, trials["trial"])
            raise SpecError(f"`--trial`: must be a complete trial of the run, got `{key}`. {known}")
    searched = complete[complete["role"].isin(CONTENDERS)]
    ranked = best_first(searched if len(searched) else complete)
    if ranked.empty:
        raise SpecError(
            f"`{store.where}`: must hold a complete trial, got none of {len(trials)}. Run the study on."
        )
    return ChosenTrial.from_row({str(name): value for name, value in ranked.iloc[0].items()})


def stored_predictions(store: Store, trial: ChosenTrial, split: str) -> Predictions:
    """What the trial's head says of the samples of a split whose labels are known.

    Raises:
        StorageError: There are no such samples.
    """
    filters = {"split": split, "head": trial.head}
    stored = predictions_of(store.read_table("predictions", [trial.key], filters=filters))
    known = [part.known() for part in stored]
    if not known or not known[0].sample:
        raise StorageError(
            f"`{trial.key}`: must have predictions of {split} samples with known labels, got none. "
            "Take another trial."
        )
    return known[0]


def thresholds_of(store: Store, trial: ChosenTrial, kind: LabelKind) -> float | Float[np.ndarray, " l"]:
    """The threshold of each label that validation chose for the trial; 0.5, unused, for classes and grades.

    Raises:
        StorageError: The trial has no predictions of validation samples.
    """
    if kind != "multilabel":
        return HALF
    return tuned_thresholds(stored_predictions(store, trial, "val"), trial.spec.thresholds)


def pair_of_files(left: Path, right: Path | None, labels: tuple[str, ...], kind: LabelKind) -> Pairs:
    """One patient from one or two image files, with unknown labels.

    Raises:
        DataError: A file does not exist.
    """
    files = [left] if right is None else [left, right]
    for option, file in zip(("--left", "--right"), files, strict=False):
        if not file.is_file():
            raise DataError(f"`{option}`: must be an image file, got `{file}`, which does not exist.")
    keys = [file.absolute().relative_to(file.absolute().anchor).as_posix() for file in files]
    folder = Path(left.absolute().anchor)
    return Pairs(
        dataset="files",
        labels=labels,
        kind=kind,
        num_views=2 if right else 1,
        table=pairs_table([left.stem], ["pair"], [keys[0]], [keys[1] if right else None]),
        targets=np.full((1, len(labels)), -1, dtype=np.int8),
        view_targets=np.full((1, len(files), len(labels)), -1, dtype=np.int8),
        synthetic=False,
        root=str(folder),
        fingerprint=fingerprint(folder, keys),
        load=ImageFolder(str(folder)),
    )


def with_labels(pairs: Pairs, labels: tuple[str, ...]) -> Pairs:
    """The pairs with the run's labels, which are unknown where the data set has no labels at all.

    Raises:
        DataError: The data set has other labels.
    """
    if pairs.labels == labels:
        return pairs
    if pairs.labels:
        raise DataError(
            f"`--data`: must have the labels of the run ({', '.join(labels)}), "
            f"got {', '.join(pairs.labels)}. Name them in the data set's `labels`."
        )
    num_samples = len(pairs)
    return replace(
        pairs,
        labels=labels,
        targets=np.full((num_samples, len(labels)), -1, dtype=np.int8),
        view_targets=np.full((num_samples, pairs.num_views, len(labels)), -1, dtype=np.int8),
    )


def predict(
    store: Store, trial: ChosenTrial, pairs: Pairs, cache: Path, *, mirrored: bool = False
) -> tuple[Predictions, Embeddings, Pairs]:
    """The scores of the head that gave the trial its value, for every usable sample.

    Args:
        store: The run.
        trial: The trial.
        pairs: New samples, with the run's labels.
        cache: Folder of all image caches.
        mirrored: Whether to take the mirror image of each patient, with the eyes exchanged.

    Returns:
        The predictions, the embeddings on which they stand, and the samples that they are of.

    Raises:
        StorageError: The trial's weights were not kept.
        DataError: Images are bad, or pairs are given to a network of single images.
    """
    images = open_images(trial.spec.data, pairs, cache)
    embedded = _embed(store, trial, images, mirrored=mirrored)
    embeddings = _embeddings(trial.key, images.pairs, embedded)
    if trial.head == NETWORK:
        return _own_predictions(trial.key, images.pairs, embedded), embeddings, images.pairs
    return _posthoc_predictions(store, trial, images.pairs, embeddings), embeddings, images.pairs


def mean_with_mirrored(plain: Predictions, mirrored: Predictions) -> Predictions:
    """The mean of the scores of the samples and of their mirror images, which its setting names."""
    setting = ", ".join(filter(None, (plain.setting, WITH_MIRRORED)))
    both = mean_predictions((plain, mirrored), (0.5, 0.5), plain.trial)
    return replace(both, head=plain.head, setting=setting)


def _own_predictions(key: str, pairs: Pairs, embedded: EmbeddedSamples) -> Predictions:
    """The predictions of the network's own head."""
    return Predictions(
        trial=key,
        head=NETWORK,
        setting="",
        split=NEW,
        sample=pairs.table["sample"].tolist(),
        patient=pairs.table["patient"].tolist(),
        target=embedded.target,
        score=embedded.score,
        synthetic=pairs.synthetic,
    )


def _embeddings(key: str, pairs: Pairs, embedded: EmbeddedSamples) -> Embeddings:
    """The embeddings of the new samples."""
    return Embeddings(
        trial=key,
        split=NEW,
        sample=pairs.table["sample"].tolist(),
        patient=pairs.table["patient"].tolist(),
        target=embedded.target,
        embedding=embedded.embedding,
        synthetic=pairs.synthetic,
    )


def _posthoc_predictions(store: Store, trial: ChosenTrial, pairs: Pairs, new: Embeddings) -> Predictions:
    """The predictions of the trial's post-hoc head, fitted again on the stored embeddings."""
    stored = {part.split: part for part in embeddings_of(store.read_table("embeddings", [trial.key]))}
    chooser = judge_of(trial.spec, pairs.kind, trains_head=trial.trains_head).chooser
    queries, rule = [stored["val"], new], trial.spec.thresholds
    fitted = fit_heads(stored["train"], queries, pairs.kind, pairs.labels, (trial.head,), chooser, rule)
    return next(part for part in fitted.predictions if part.split == NEW)


def stored_network(store: Store, key: str, spec: TrialSpec, num_labels: int, num_views: int) -> SiameseNet:
    """The network of a finished trial with the weights that it kept.

    Raises:
        StorageError: The weights were not kept, are damaged, or belong to another network.
    """
    if not store.has_weights(key):
        raise StorageError(
            f"`{key}`: must have its weights, but only the best trials keep them. "
            "Take another, or raise `keep_weights`."
        )
    try:
        return rebuild_network(spec, num_labels, num_views, read_weights(store, key))
    except (SafetensorError, RuntimeError) as error:
        raise StorageError(
            f"`{key}`: {WEIGHTS} must fit the trial's network ({str(error).splitlines()[0]}). "
            "It is damaged, or another version of this project wrote it: run the study again."
        ) from None


def _embed(store: Store, trial: ChosenTrial, images: ImageCache, *, mirrored: bool) -> EmbeddedSamples:
    pairs = images.pairs
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net = stored_network(store, trial.key, trial.spec, len(pairs.labels), pairs.num_views)
    batches = batches_of(trial, images, np.arange(len(pairs)), device)
    aligned = trial.spec.data.align != "none"
    seen = with_eyes_exchanged(batches, aligned=aligned) if mirrored else batches
    bfloat16 = use_bfloat16(trial.spec.training.precision, device)
    return embed(net.to(device), seen, device, bfloat16=bfloat16)


def batches_of(
    trial: ChosenTrial, images: ImageCache, rows: Int[np.ndarray, " n"], device: torch.device
) -> Batches:
    """The images of the samples in these rows, in their order, as the trial's network wants them."""
    data = trial.spec.data
    return Batches(
        images,
        rows,
        batch_size=EVALUATION_BATCH,
        device=device,
        normalise=data.normalise,
        align=data.align,
    )


def network_input(trial: ChosenTrial, pairs: Pairs, cache: Path) -> Float[Tensor, "b v 3 px px"]:
    """The images of a few samples as the trial's network wants them; arguments and errors as in `predict`."""
    images = open_images(trial.spec.data, pairs, cache)
    batches = batches_of(trial, images, np.arange(len(images.pairs)), torch.device("cpu"))
    return torch.cat([batch.images for batch in batches])
