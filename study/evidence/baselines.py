"""Predictions that know nothing of the image: what every model has to beat."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int8

from study.evidence.predictions import Embeddings, Predictions


def prior_predictions(
    trial: str,
    train_target: Int8[np.ndarray, "m l"],
    split: str,
    sample: Sequence[str],
    patient: Sequence[str],
    target: Int8[np.ndarray, "n l"],
    synthetic: bool,
) -> Predictions:
    """score[:, l] = share of the training samples that carry label l, for every sample alike; the head is `prior`.

    Args:
        trial: the baseline's key.
        train_target: labels of the training split, without unknown ones.
        split: the split to predict.
        sample: names of its samples.
        patient: whom they belong to.
        target: their labels.
        synthetic: whether the images are not real.
    """
    prevalence = train_target.mean(axis=0, dtype=np.float64).astype(np.float32)
    score = np.tile(prevalence, (len(target), 1))
    return Predictions(trial, "prior", "", split, sample, patient, target, score, synthetic)


def prior_embeddings(
    trial: str,
    train_target: Int8[np.ndarray, "m l"],
    split: str,
    sample: Sequence[str],
    patient: Sequence[str],
    target: Int8[np.ndarray, "n l"],
    synthetic: bool,
) -> Embeddings:
    """(1, 0) for training samples of the commonest grade and for every query, (0, 1) for the other training samples.

    By cosine and by Euclidean distance every query then finds the samples of the commonest grade first: the retriever that
    always returns it. Arguments as in `prior_predictions`; the split `train` is the gallery.
    """
    commonest = int(train_target.sum(axis=0, dtype=np.int64).argmax())
    first = np.ones(len(target), dtype=bool) if split != "train" else target[:, commonest] > 0
    embedding = np.stack([first, ~first], axis=1).astype(np.float32)
    return Embeddings(trial, split, sample, patient, target, embedding, synthetic)
