"""Recorded learning curves, replayed for any configuration of their space.

The samplers suggest points of a space with continuous ranges, and the records are some hundreds of them. To
answer with the nearest record would make a landscape of steps, in which most points that a sampler tells
apart are one and the same. So a Gaussian process is fitted to the records, which gives the mean curve of a
point, and the noise is real: the difference of one recorded seed from the mean of its configuration's seeds,
drawn from the repeated configurations nearest to the point. `explained` says what the process explains of
curves that it was not fitted to.

The process works on the leading principal components of the curves and on the logarithm of the seconds of an
epoch. Its kernel is one Gaussian with a length scale for each parameter; a choice counts as one or zero for
each of its values, and a parameter that a configuration does not have adds nothing to a distance.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from optuna.distributions import CategoricalDistribution
from pyarrow import parquet
from recorded_space import STUDY
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from study.engine.search.samplers import distribution, to_unit
from study.spec.holes import Scalar
from study.spec.study_file import StudySpec

CURVES = Path(__file__).parent / "recorded_curves.parquet"
COMPONENTS = 5  # of the curves
NEIGHBOURS = 8  # repeated trainings, one of which lends its noise
FOLDS = 11  # no divisor of 10 or 7, by which `record_curves.py` deals out maps and repeats
Params = Mapping[str, Scalar]


class Coordinates:
    """Configurations as points, with the parameter that each coordinate belongs to."""

    def __init__(self) -> None:
        holes = StudySpec.read(STUDY).holes()
        self.distributions = {name: distribution(hole) for name, hole in holes.items()}
        widths = [
            len(of.choices) if isinstance(of, CategoricalDistribution) else 1
            for of in self.distributions.values()
        ]
        self.owner = np.repeat(np.arange(len(widths)), widths)

    def __call__(self, params: Params) -> Float[np.ndarray, " d"]:
        """The point of a configuration."""
        point: list[float] = []
        for name, of in self.distributions.items():
            if isinstance(of, CategoricalDistribution):
                point += [float(name in params and params[name] == choice) for choice in of.choices]
            else:
                point.append(to_unit(of, params[name]) if name in params else 0.5)
        return np.array(point)


class Replay:
    """The recorded curves of a file.

    Args:
        path: The file that `record_curves.py` writes.

    Attributes:
        num_trainings: Number of recorded trainings.
        num_configurations: Number of recorded configurations.
        explained: Share of the variance of the best value of a training that is explained where the process
            was fitted to the other ten elevenths of the configurations; the noise between seeds cannot be.
    """

    def __init__(self, path: Path = CURVES) -> None:
        rows = parquet.read_table(path).to_pylist()
        self._coordinates = Coordinates()
        self._points = np.stack([self._coordinates(json.loads(row["params"])) for row in rows])
        self._numbers = np.array([row["number"] for row in rows])
        curves = np.array([row["value"] for row in rows], dtype=np.float64)
        seconds = np.log([float(np.median(row["seconds"])) for row in rows])
        self.num_trainings, self.num_configurations = len(rows), len(set(self._numbers))
        self._mean = curves.mean(0)
        self._directions = np.linalg.svd(curves - self._mean, full_matrices=False)[2][:COMPONENTS]
        targets = np.column_stack([(curves - self._mean) @ self._directions.T, seconds])
        self._process = Process(self._points, targets, self._coordinates.owner)
        self._repeated, self._noise = self._seeds_apart(curves)
        self.explained = self._explained(curves, targets)

    def curve(self, params: Params) -> Float[np.ndarray, " e"]:
        """Mean value by epoch."""
        return self._curves(self._process(self._coordinates(params)[None])).reshape(-1)

    def seconds(self, params: Params) -> float:
        """Seconds of CPU time of an epoch."""
        return float(np.exp(self._process(self._coordinates(params)[None])[0, -1]))

    def noise(self, params: Params, rng: np.random.Generator) -> Float[np.ndarray, " e"]:
        """What a recorded seed adds to the mean curve."""
        gaps = self._process.gaps(self._coordinates(params)[None], self._repeated)[0]
        lent: Float[np.ndarray, " e"] = self._noise[rng.choice(np.argsort(gaps)[:NEIGHBOURS])]
        return lent

    def _curves(self, outputs: Float[np.ndarray, "n o"]) -> Float[np.ndarray, "n e"]:
        return np.asarray(self._mean + outputs[:, :COMPONENTS] @ self._directions)

    def _seeds_apart(
        self, curves: Float[np.ndarray, "n e"]
    ) -> tuple[Float[np.ndarray, "m d"], Float[np.ndarray, "m e"]]:
        """Points of repeated trainings, and how each one's curve differs from the mean of its seeds.

        The mean takes part in the noise of its k seeds, so that the differences are stretched by
        sqrt(k / (k - 1)).
        """
        points, noise = [], []
        for number in np.unique(self._numbers):
            rows = np.flatnonzero(self._numbers == number)
            if len(rows) > 1:
                points += [self._points[row] for row in rows]
                stretch = np.sqrt(len(rows) / (len(rows) - 1))
                noise += [*((curves[rows] - curves[rows].mean(0)) * stretch)]
        return np.stack(points), np.stack(noise)

    def _explained(self, curves: Float[np.ndarray, "n e"], targets: Float[np.ndarray, "n o"]) -> float:
        left_out = np.empty_like(curves)
        for fold in range(FOLDS):
            held = self._numbers % FOLDS == fold
            process = Process(self._points[~held], targets[~held], self._coordinates.owner, self._process)
            left_out[held] = self._curves(process(self._points[held]))
        best = curves.max(1)
        return float(1 - ((left_out.max(1) - best) ** 2).mean() / best.var())


class Process:
    """A Gaussian process of several outputs, which share the length scales and the share of the noise.

    Args:
        points: Where the outputs are known.
        outputs: What they are there.
        owner: The length scale of each coordinate of a point.
        like: A process whose length scales and noise are taken; None fits them by the marginal likelihood.
    """

    def __init__(
        self,
        points: Float[np.ndarray, "n d"],
        outputs: Float[np.ndarray, "n o"],
        owner: Int[np.ndarray, " d"],
        like: "Process | None" = None,
    ) -> None:
        self._points, self._owner = points, owner
        self._shift, self._size = outputs.mean(0), outputs.std(0)
        scaled = (outputs - self._shift) / self._size
        self._settings: Float[np.ndarray, " p"] = self._fit(scaled) if like is None else like._settings
        self._weights = cho_solve(self._factor(self._settings), scaled)

    def __call__(self, points: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "m o"]:
        """The mean of each output at each point."""
        near = np.exp(-0.5 * self.gaps(points, self._points))
        return np.asarray(self._shift + self._size * (near @ self._weights))

    def gaps(
        self, points: Float[np.ndarray, "m d"], others: Float[np.ndarray, "n d"]
    ) -> Float[np.ndarray, "m n"]:
        """Squared distances in length scales."""
        return _gaps(points, others, self._settings, self._owner)

    def _factor(self, settings: Float[np.ndarray, " p"]) -> tuple[Float[np.ndarray, "n n"], bool]:
        kernel = np.exp(-0.5 * _gaps(self._points, self._points, settings, self._owner))
        kernel[np.diag_indices_from(kernel)] += np.exp(settings[-1])
        factor: tuple[Float[np.ndarray, "n n"], bool] = cho_factor(kernel, lower=True)
        return factor

    def _fit(self, scaled: Float[np.ndarray, "n o"]) -> Float[np.ndarray, " p"]:
        """Logarithms of the length scales, and last of the noise's variance.

        The logarithms of the length scales have a standard normal prior.
        """

        def loss(settings: Float[np.ndarray, " p"]) -> float:
            factor = self._factor(settings)
            fit = 0.5 * (scaled * cho_solve(factor, scaled)).sum()
            prior = 0.5 * (settings[:-1] ** 2).sum()
            return float(fit + scaled.shape[1] * np.log(np.diag(factor[0])).sum() + prior)

        start = np.append(np.zeros(int(self._owner.max()) + 1), np.log(0.05))
        found = minimize(loss, start, method="L-BFGS-B", bounds=[(-3, 4)] * (len(start) - 1) + [(-9, 0)])
        return np.asarray(found.x)


def _gaps(
    points: Float[np.ndarray, "m d"],
    others: Float[np.ndarray, "n d"],
    settings: Float[np.ndarray, " p"],
    owner: Int[np.ndarray, " d"],
) -> Float[np.ndarray, "m n"]:
    scales = np.exp(settings[:-1])[owner]
    a, b = points / scales, others / scales
    return np.asarray(np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T, 0))
