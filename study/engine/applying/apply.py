"""A finished trial applied to samples that it has never seen."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from models.siamese import SiameseNet
from study.data.batches import Batches
from study.data.cache import ImageCache
from study.data.cohort import open_images
from study.data.images import ImageFolder
from study.data.pairs import Pairs, fingerprint, pairs_table
from study.engine.training.fit import use_bfloat16
from study.engine.training.judge import judge_of
from study.engine.training.network import rebuild_network
from study.engine.training.session import EVALUATION_BATCH
from study.evidence.embed import Embedded, embed
from study.evidence.heads import fit_heads
from study.evidence.judging import NETWORK
from study.evidence.predictions import Embeddings, Predictions, embeddings_of
from study.evidence.store import WEIGHTS, Store
from study.spec import components
from study.spec.errors import DataError, SpecError, StorageError, suggest
from study.spec.trial_spec import TrialSpec

NEW = "new"


def chosen_trial(store: Store, key: str | None) -> Mapping[str, Any]:
    """The record of the named trial, or of the search's best complete one.

    Raises:
        SpecError: no such trial, or none is complete.
    """
    trials = store.read("trial", columns=["trial", "role", "state", "value", "spec", "head"])
    trials["head"] = trials["head"].fillna("")  # records of earlier versions say nothing
    complete = trials[(trials["state"] == "complete") & (trials["role"] != "baseline")]
    if key is not None:
        complete = complete[complete["trial"] == key]
        if complete.empty:
            raise SpecError(
                f"`--trial`: must be a complete trial of the run, got `{key}`. {suggest(key, trials['trial'])}"
            )
    searched = complete[complete["role"] == "search"]
    ranked = (searched if len(searched) else complete).sort_values("value", ascending=False)
    if ranked.empty:
        raise SpecError(
            f"`{store.where}`: must hold a complete trial, got none of {len(trials)}. Run the study on."
        )
    return {str(name): value for name, value in ranked.iloc[0].to_dict().items()}


def pair_of_files(left: Path, right: Path | None, labels: tuple[str, ...], kind: Any) -> Pairs:
    """One patient from one or two image files, with unknown labels.

    Raises:
        DataError: a file does not exist.
    """
    files = [left] if right is None else [left, right]
    for flag, file in zip(("--left", "--right"), files, strict=False):
        if not file.is_file():
            raise DataError(f"`{flag}`: must be an image file, got `{file}`, which does not exist.")
    keys = [file.absolute().relative_to(file.absolute().anchor).as_posix() for file in files]
    folder = Path(left.absolute().anchor)
    return Pairs(
        dataset="files",
        labels=labels,
        kind=kind,
        num_views=2 if right else 1,
        table=pairs_table(["pair"], ["pair"], [keys[0]], [keys[1] if right else None]),
        targets=np.full((1, len(labels)), -1, dtype=np.int8),
        view_targets=np.full((1, len(files), len(labels)), -1, dtype=np.int8),
        synthetic=False,
        root=str(folder),
        fingerprint=fingerprint(folder, keys),
        load=ImageFolder(str(folder)),
    )


def with_labels(pairs: Pairs, labels: tuple[str, ...]) -> Pairs:
    """The pairs with the run's labels; a data set without any label has them unknown.

    Raises:
        DataError: the data set has other labels.
    """
    if pairs.labels == labels:
        return pairs
    if pairs.labels:
        raise DataError(
            f"`--data`: must have the labels of the run ({', '.join(labels)}), got {', '.join(pairs.labels)}."
        )
    num_samples = len(pairs)
    return replace(
        pairs,
        labels=labels,
        targets=np.full((num_samples, len(labels)), -1, dtype=np.int8),
        view_targets=np.full((num_samples, pairs.num_views, len(labels)), -1, dtype=np.int8),
    )


def predict(
    store: Store, record: Mapping[str, Any], spec: TrialSpec, pairs: Pairs, cache: Path
) -> tuple[Predictions, Pairs]:
    """The scores of the head that gave the trial its value, for every usable sample.

    Args:
        store: the run.
        record: the trial's row.
        spec: its specification, whose rules for missing eyes and bad images hold here too.
        pairs: new samples, with the run's labels.
        cache: folder of all image caches.

    Raises:
        StorageError: the trial's weights were not kept.
        DataError: images are bad, or pairs are given to a network of single images.
    """
    key = str(record["trial"])
    images = open_images(spec.data, pairs, cache)
    pairs = images.pairs
    found = _embed(store, key, spec, images)
    who = (pairs.table["sample"].tolist(), pairs.table["patient"].tolist())
    trains_head = bool(components.load("loss", spec.loss.name).trains_head)
    head = record["head"] or (NETWORK if trains_head else "knn")
    if head == NETWORK:
        return Predictions(key, "network", "", NEW, *who, found.targets, found.score, pairs.synthetic), pairs
    known = {e.split: e for e in embeddings_of(store.read_table("embeddings", [key]))}
    new = Embeddings(key, NEW, *who, found.targets, found.fused, pairs.synthetic)
    chooser = judge_of(spec, pairs.kind, trains_head).chooser
    fitted = fit_heads(known["train"], [known["val"], new], pairs.kind, pairs.labels, (head,), chooser)
    return next(p for p in fitted.predictions if p.split == NEW), pairs


def stored_network(store: Store, key: str, spec: TrialSpec, num_labels: int, num_views: int) -> SiameseNet:
    """The network of a finished trial with the weights that it kept.

    Raises:
        StorageError: they were not kept, are damaged, or are those of another network.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            weights = store.fetch(key, WEIGHTS, Path(folder))
        except StorageError:
            raise StorageError(
                f"`{key}`: must have its weights, but only the best trials keep them. Take another, or raise `keep_weights`."
            ) from None
        try:
            return rebuild_network(spec, num_labels, num_views, load_file(weights))
        except (SafetensorError, RuntimeError) as error:
            raise StorageError(
                f"`{key}`: {WEIGHTS} must fit the trial's network ({str(error).splitlines()[0]}). "
                "It is damaged, or another version of this project wrote it: run the study again."
            ) from None


def _embed(store: Store, key: str, spec: TrialSpec, images: ImageCache) -> Embedded:
    pairs = images.pairs
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net = stored_network(store, key, spec, len(pairs.labels), pairs.num_views)
    data, rows = spec.data, np.arange(len(pairs))
    batches = Batches(
        images, rows, batch_size=EVALUATION_BATCH, device=device, normalise=data.normalise, align=data.align
    )
    return embed(net.to(device), batches, device, use_bfloat16(spec.training.precision, device))
