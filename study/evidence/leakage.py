"""What a leak is worth: the same test images, after trainings with and without images of their patients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from study.data.leaks import BY_PATIENT, LEAKS
from study.evidence.metrics import Metric
from study.evidence.statistics.bootstrap import DecidedPredictions
from study.evidence.statistics.comparison import Comparison, paired
from study.evidence.statistics.estimate import Estimate, estimate
from study.evidence.statistics.jackknife import LeftOut


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a split says about the same test images.

    Attributes:
        split: Name of the split in `LEAKS`.
        metric: Name of the metric.
        value: The metric on the test images, over all seeds.
        gain: How much more that is than without a leak; None for the split without one.
        training_images: Mean number of training images; the same for all splits.
        leaked: Mean number of them that show a test patient.
        synthetic: Whether the images are drawn.
    """

    split: str
    metric: str
    value: Estimate
    gain: Comparison | None
    training_images: float
    leaked: float
    synthetic: bool


@dataclass(frozen=True)
class LeakyTraining:
    """One training on one of the splits.

    Attributes:
        decided: What it says about the test images.
        training_images: Number of its training images.
        leaked: Number of them that show a test patient.
    """

    decided: DecidedPredictions
    training_images: int
    leaked: int


def prices(
    metrics: Sequence[Metric], trainings: Mapping[str, Sequence[LeakyTraining]], patients: Sequence[str]
) -> list[Price]:
    """Every metric for every split of `LEAKS`.

    Args:
        metrics: The metrics, each one number.
        trainings: Trainings by the name of the split, all with the same seeds.
        patients: The patient of every sample.
    """
    everyone = LeftOut(patients)
    values = {
        name: estimate(metrics, [one.decided for one in of_split], everyone)
        for name, of_split in trainings.items()
    }
    found = []
    for metric in metrics:
        (clean,) = values[BY_PATIENT][metric.name]
        for name in LEAKS:
            (value,) = values[name][metric.name]
            of_split = trainings[name]
            price = Price(
                split=name,
                metric=metric.name,
                value=value,
                gain=None if name == BY_PATIENT else paired(value, clean),
                training_images=sum(one.training_images for one in of_split) / len(of_split),
                leaked=sum(one.leaked for one in of_split) / len(of_split),
                synthetic=of_split[0].decided.predictions.synthetic,
            )
            found.append(price)
    return found
