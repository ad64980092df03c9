"""The vessel trees of a retina: arcades of arteries and veins from the disc, with two orders of branches."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

POINTS = 21  # number of points of a vessel
PIECES = 4  # number of strokes of a vessel, each thinner than the one before
BRANCH_AT = np.array([5, 9, 12, 16])  # points of a vessel where branches leave
MIN_CARRIER_WIDTH = 0.012  # thinner vessels have no branches
# Knots of the arcades that run to the temple and to the nose, relative to the disc.
TEMPORAL = np.array([[-0.02, 0.34], [-0.32, 0.6], [-0.76, 0.6], [-1.2, 0.42]])
NASAL = np.array([[0.06, 0.22], [0.15, 0.48], [0.22, 0.8], [0.28, 1.1]])

Point = Float[np.ndarray, " 2"]


@dataclass(frozen=True)
class Tree:
    """Strokes of a vessel tree.

    Attributes:
        paths: Points of each stroke, in units of the field's radius.
        widths: Width of each stroke, in the same unit.
    """

    paths: Float[np.ndarray, "n p 2"]
    widths: Float[np.ndarray, " n"]


def grow(rng: np.random.Generator, disc: Point, macula: Point) -> tuple[Tree, Tree]:
    """Arteries and veins of an eye with the disc to the right.

    Both eyes of a patient are grown from equal random numbers.
    """
    bend = rng.uniform(0.86, 1.12, (4, 4, 2))
    arcades = np.stack([TEMPORAL * [1, -1], TEMPORAL, NASAL * [1, -1], NASAL]) * bend
    up = np.array([-1.0, 1.0, -1.0, 1.0])
    trees = []
    for offset, width, turn in ((-0.035, 0.026, 0.12), (0.035, 0.04, -0.12)):
        shift = offset * np.stack([np.ones(4), -up], axis=1)[:, None]
        toward_macula = np.linspace(disc, macula + np.array([0.22, turn]), 5)[1:]
        toward_macula = toward_macula + rng.normal(0, 0.02, (4, 2))
        knots = np.concatenate([disc + arcades + shift, toward_macula[None]])
        start = np.repeat(disc[None, None], 5, axis=0)
        widths = width * np.array([1, 1, 0.75, 0.75, 0.3])
        trees.append(_tree(rng, np.concatenate([start, knots], axis=1), widths))
    return trees[0], trees[1]


def warp(tree: Tree, rng: np.random.Generator, most: float = 0.035) -> Tree:
    """The same tree, gently bent: what differs between the two eyes of one patient."""
    phase, wave = rng.uniform(0, 2 * np.pi, 2), rng.uniform(2, 4, 2)
    return Tree(tree.paths + most * np.sin(wave * tree.paths[..., ::-1] + phase), tree.widths)


def _tree(
    rng: np.random.Generator, knots: Float[np.ndarray, "n k 2"], widths: Float[np.ndarray, " n"]
) -> Tree:
    """The vessels through these knots and two orders of branches of all but the thinnest."""
    strokes = []
    for order in range(3):
        vessels = _smooth(knots)
        frequency, phase = (rng.uniform(*bounds, (len(vessels), 1)) for bounds in ((9, 16), (0, 6)))
        wave = np.linspace(0, 1, POINTS) * frequency + phase
        vessels[:, 2:] += 0.011 * np.sin(wave)[:, 2:, None] * _normals(vessels)[:, 2:]
        strokes.append(_strokes(vessels, widths, PIECES if order == 0 else 2))
        carriers = widths > MIN_CARRIER_WIDTH
        knots = _branches(rng, vessels[carriers])
        widths = np.repeat(widths[carriers] * 0.5, len(BRANCH_AT))
    return Tree(np.concatenate([paths for paths, _ in strokes]), np.concatenate([w for _, w in strokes]))


def _strokes(
    vessels: Float[np.ndarray, "n p 2"], widths: Float[np.ndarray, " n"], pieces: int
) -> tuple[Float[np.ndarray, "m q 2"], Float[np.ndarray, " m"]]:
    """Each vessel in pieces of falling width.

    All pieces have the same number of points, so that they stack; a short piece repeats its last point.
    """
    ends = np.linspace(0, POINTS - 1, pieces + 1).astype(int)
    longest = (POINTS - 1) // 2 + 1
    parts = [vessels[:, np.minimum(np.arange(a, a + longest), b)] for a, b in pairwise(ends)]
    taper = np.linspace(1.0, 0.45, pieces)
    return np.concatenate(parts), np.concatenate([widths * share for share in taper])


def _branches(rng: np.random.Generator, vessels: Float[np.ndarray, "n p 2"]) -> Float[np.ndarray, "m k 2"]:
    """Knots of the branches, which leave on both sides and bend back along the vessel."""
    shape = (len(vessels), len(BRANCH_AT))
    roots = vessels[:, BRANCH_AT]
    along = roots - vessels[:, BRANCH_AT - 1]
    side = rng.permuted(np.tile([1.0, -1.0, 1.0, -1.0], (shape[0], 1)), axis=1)
    heading = np.arctan2(along[..., 1], along[..., 0]) + side * rng.uniform(0.5, 0.95, shape)
    bend = np.array([0.0, 0.15, 0.3]) * rng.uniform(0.5, 2, shape)[..., None]
    turns = heading[..., None] - side[..., None] * bend
    length = rng.uniform(0.09, 0.17, shape)[..., None, None]
    steps = length * np.stack([np.cos(turns), np.sin(turns)], axis=-1)
    knots = np.concatenate([roots[:, :, None], roots[:, :, None] + np.cumsum(steps, axis=2)], axis=2)
    return knots.reshape(-1, 4, 2)


def _smooth(knots: Float[np.ndarray, "n k 2"]) -> Float[np.ndarray, "n p 2"]:
    """Catmull-Rom splines through the knots, with points at even steps of their parameter."""
    before, after = 2 * knots[:, :1] - knots[:, 1:2], 2 * knots[:, -1:] - knots[:, -2:-1]
    padded = np.concatenate([before, knots, after], axis=1)
    at = np.linspace(0, knots.shape[1] - 1 - 1e-9, POINTS)
    i, t = at.astype(int), (at % 1)[:, None]
    a, b, c, d = (padded[:, i + k] for k in range(4))
    spline: Float[np.ndarray, "n p 2"] = 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    return spline


def _normals(vessels: Float[np.ndarray, "n p 2"]) -> Float[np.ndarray, "n p 2"]:
    """Unit vectors across the vessels at each point."""
    step = np.gradient(vessels, axis=1)
    length = np.maximum(np.hypot(step[..., 0], step[..., 1]), 1e-9)
    normals: Float[np.ndarray, "n p 2"] = np.stack([-step[..., 1], step[..., 0]], axis=-1) / length[..., None]
    return normals
