"""K nearest neighbours for every K at once: one search, then running sums of votes.

Source: Cover & Hart 1967, Nearest neighbor pattern classification; distance-weighted votes as in scikit-learn
(1 / d; where a neighbour has distance 0, only such neighbours vote).
Differs: with `ties="distance"` equal votes go to the label whose voters have the smaller summed distance.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from study.spec.posthoc import MAX_K, DistanceName, Votes

Ties = Literal["distance", "first"]
_BLOCK = 256  # queries in a block: 256 × 6,000 distances are 12 MB and stay in the processor's cache
_TIE_STEP = 1e-6  # larger than the steps of float32 near 1, far smaller than one vote in 50


@dataclass(frozen=True)
class Neighbours:
    """The nearest references of each query.

    Attributes:
        index: Rows of the references, nearest first; of equal distances the earlier row first.
        distance: Distances to them, ≥ 0.
    """

    index: Int[np.ndarray, "q k"]
    distance: Float[np.ndarray, "q k"]


def nearest(
    references: Float[np.ndarray, "r d"],
    queries: Float[np.ndarray, "q d"],
    distance_name: DistanceName,
    k: int = MAX_K,
    allowed: Bool[np.ndarray, "q r"] | None = None,
) -> Neighbours:
    """The k references with the smallest ‖q - r‖, or 1 - cos(q, r); all of them where there are fewer than k.

    Args:
        references: Embeddings to search.
        queries: Embeddings to find neighbours for.
        distance_name: `euclidean` or `cosine`; a zero vector has cosine 0 with everything.
        k: Number of neighbours.
        allowed: False where a reference must not be a neighbour of a query; such a pair has distance infinity
            and comes last.
    """
    k = min(k, len(references))
    references, queries, offset = _as_products(
        references.astype(np.float64), queries.astype(np.float64), distance_name
    )
    index = np.empty((len(queries), k), dtype=np.int64)
    distance = np.empty((len(queries), k))
    for start in range(0, len(queries), _BLOCK):
        rows = slice(start, start + _BLOCK)
        block = queries[rows] @ references.T
        if allowed is not None:
            block[~allowed[rows]] = np.inf
        near = np.sort(np.argpartition(block, k - 1, axis=1)[:, :k], axis=1)
        near_distance = np.take_along_axis(block, near, axis=1) + offset[rows, None]
        near_distance[near_distance < 1e-12 * offset[rows, None]] = 0  # only a rounding error is left of it
        order = np.argsort(near_distance, axis=1, kind="stable")
        index[rows] = np.take_along_axis(near, order, axis=1)
        distance[rows] = np.take_along_axis(near_distance, order, axis=1)
    return Neighbours(index, np.sqrt(distance) if distance_name == "euclidean" else distance)


def _as_products(
    references: Float[np.ndarray, "r d"], queries: Float[np.ndarray, "q d"], distance_name: DistanceName
) -> tuple[Float[np.ndarray, "r d2"], Float[np.ndarray, "q d2"], Float[np.ndarray, " q"]]:
    """R, Q and o with Q Rᵀ + o = ‖q - r‖² or 1 - cos(q, r): one matrix product ranks all references."""
    if distance_name == "cosine":
        return -_unit(references), _unit(queries), np.ones(len(queries))
    centre = references.mean(axis=0)  # smaller numbers, less cancellation
    references, queries = references - centre, queries - centre
    squared = np.einsum("rd,rd->r", references, references)
    offset = np.einsum("qd,qd->q", queries, queries)
    references = np.column_stack([-2 * references, squared])
    queries = np.column_stack([queries, np.ones(len(queries))])
    return references, queries, offset


def _unit(vectors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """The vectors divided by their lengths; a zero vector stays zero."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1))


def votes_for_all_k(
    neighbours: Neighbours,
    target: Num[np.ndarray, "r l"],
    votes: Votes,
    ties: Ties = "distance",
    *,
    exclusive: bool = False,
) -> Float[np.ndarray, "k q l"]:
    """score[K-1] = Σ_{K nearest} weight × target / Σ_{K nearest} weight, for K = 1 … k.

    Args:
        neighbours: Neighbours of the queries.
        target: 1 where a reference carries the label.
        votes: `uniform` for the weight 1, `distance` for the weight 1 / d.
        ties: `first` leaves equal votes equal, so that the first class, or "no", wins. `distance` gives them
            to the smaller summed distance and moves them by 1e-6; votes are equal at a share of one half, or,
            for one class a sample, where several classes are first.
        exclusive: Whether a sample carries exactly one label (classes and grades).
    """
    carried = target[neighbours.index].astype(np.float64)
    weight = _weights(neighbours.distance, votes)
    score = np.cumsum(carried * weight[:, :, None], axis=1)
    score /= np.cumsum(weight, axis=1)[:, :, None]
    if ties == "distance":
        distance = neighbours.distance[:, :, None]
        for_label = np.cumsum(carried * distance, axis=1)
        if exclusive:
            _break_ties_of_classes(score, for_label)
        else:
            against = np.cumsum((1 - carried) * distance, axis=1)
            tied = np.isclose(score, 0.5, rtol=0, atol=1e-12)
            score += np.where(tied, _TIE_STEP * np.sign(against - for_label), 0)
    return np.ascontiguousarray(score.transpose(1, 0, 2), dtype=np.float32)


def _weights(distance: Float[np.ndarray, "q k"], votes: Votes) -> Float[np.ndarray, "q k"]:
    if votes == "uniform":
        return np.ones_like(distance)
    zero = distance == 0
    with np.errstate(divide="ignore"):
        return np.where(zero.any(axis=1, keepdims=True), zero, 1 / distance)


def _break_ties_of_classes(score: Float[np.ndarray, "q k l"], distance: Float[np.ndarray, "q k l"]) -> None:
    """Moves the class with the smallest summed distance up, among classes that tie for the first place."""
    first = np.isclose(score, score.max(axis=2, keepdims=True), rtol=0, atol=1e-12)
    tied = first.sum(axis=2, keepdims=True) > 1
    winner = np.where(first, distance, np.inf).argmin(axis=2)[:, :, None] == np.arange(score.shape[2])
    score += np.where(tied & first, np.where(winner, _TIE_STEP, -_TIE_STEP), 0)
