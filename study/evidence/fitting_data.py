"""What the heads of a trial are fitted on."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int8

from study.evidence.neighbours import Neighbours, nearest
from study.spec.posthoc import DistanceName


@dataclass(frozen=True, kw_only=True)
class FittingData:
    """What a head is fitted on and what its settings are scored on.

    Attributes:
        train: Embeddings of the training samples.
        target: Labels of the training samples.
        val: Embeddings of the validation samples.
        exclusive: Whether a sample carries exactly one label.
        searched: Samples that were searched for, with what was found, by place in memory and distance.
    """

    train: Float[np.ndarray, "r d"]
    target: Int8[np.ndarray, "r l"]
    val: Float[np.ndarray, "n d"]
    exclusive: bool
    searched: dict[tuple[int, DistanceName], tuple[Float[np.ndarray, "n d"], Neighbours]] = field(
        default_factory=dict
    )

    def neighbours(self, new: Float[np.ndarray, "n d"], distance: DistanceName) -> Neighbours:
        """The nearest training samples of the rows of an array, which is searched for only once."""
        place = id(new), distance  # of an array that is kept, so that no other one can take its place
        if place not in self.searched:
            self.searched[place] = new, nearest(self.train, new, distance)
        return self.searched[place][1]
