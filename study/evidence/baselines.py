"""Predictions and embeddings that know nothing of the image: every model has to beat them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int8

from study.evidence.predictions import PRIOR, Embeddings, Predictions


def prior_predictions(
    *,
    trial: str,
    train_target: Int8[np.ndarray, "m l"],
    split: str,
    sample: Sequence[str],
    patient: Sequence[str],
    target: Int8[np.ndarray, "n l"],
    synthetic: bool,
) -> Predictions:
    """score[:, l] = share of the training samples that carry label l, for every sample; the head is `prior`.

    Args:
        trial: Key of the baseline.
        train_target: Labels of the training samples, all of them known.
        split: Name of the split to predict.
        sample: Unique name of each sample of the split.
        patient: Patient that each sample belongs to.
        target: Labels of the samples.
        synthetic: Whether the images are drawn.
    """
    prevalence = train_target.mean(axis=0, dtype=np.float64).astype(np.float32)
    return Predictions(
        trial=trial,
        head=PRIOR,
        setting="",
        split=split,
        sample=sample,
        patient=patient,
        target=target,
        score=np.tile(prevalence, (len(target), 1)),
        synthetic=synthetic,
    )


def prior_embeddings(
    *,
    trial: str,
    train_target: Int8[np.ndarray, "m l"],
    split: str,
    sample: Sequence[str],
    patient: Sequence[str],
    target: Int8[np.ndarray, "n l"],
    synthetic: bool,
) -> Embeddings:
    """(1, 0) for every query and for the training samples of the commonest grade, (0, 1) for the others.

    Every query then finds the samples of the commonest grade first, by cosine and by Euclidean distance.
    Arguments as in `prior_predictions`; the samples of the split `train` are searched, those of the others
    are queries.
    """
    commonest = int(train_target.sum(axis=0, dtype=np.int64).argmax())
    first = target[:, commonest] > 0 if split == "train" else np.ones(len(target), dtype=bool)
    return Embeddings(
        trial=trial,
        split=split,
        sample=sample,
        patient=patient,
        target=target,
        embedding=np.stack([first, ~first], axis=1).astype(np.float32),
        synthetic=synthetic,
    )
