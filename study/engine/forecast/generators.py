"""What generators of images will take: they are trained before the first trial, and anew for each fold of the repeats."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from study.data.generated_images import FEWEST
from study.data.generator_training import new_generator
from study.data.pairs import Pairs
from study.data.preprocessing import Preprocessing
from study.spec.data_section import GeneratedSpec, SplitSpec
from study.spec.study_file import StudySpec
from study.spec.trial_spec import TrialSpec

PROBED = 32  # images of a class at most: a probe of seconds
Wish = tuple[Preprocessing, GeneratedSpec]


@dataclass(frozen=True)
class GeneratorProbe:
    """What the generator of one class takes.

    Attributes:
        train_s: seconds of an epoch, for one image.
        num_parameters: of all its networks.
    """

    train_s: float
    num_parameters: int


MeasureGenerator = Callable[[GeneratedSpec, int], GeneratorProbe]


@dataclass(frozen=True)
class Generating:
    """What all generators of a study take, less the making of images from trained ones, which takes less than an epoch.

    Attributes:
        trainings: how many generators are trained.
        before_s: seconds before the first trial.
        again_s: seconds of trials that train generators of a fold.
        num_bytes: generators and their images, on each machine.
    """

    trainings: int = 0
    before_s: float = 0.0
    again_s: float = 0.0
    num_bytes: int = 0


def measure_generator(wanted: GeneratedSpec, num: int) -> GeneratorProbe:
    """Two epochs over noise, where a study's start trains its generators; the second one is timed.

    Args:
        wanted: the generator.
        num: images of a class.

    Raises:
        SpecError: an argument of the generator is out of its range.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net = new_generator(wanted, 0).to(device)
    seconds, began = 0.0, time.perf_counter()
    for _ in net.train_on(torch.rand(num, 3, net.image_px, net.image_px) * 2 - 1, epochs=2, seed=0):
        seconds, began = time.perf_counter() - began, time.perf_counter()
    return GeneratorProbe(seconds / num, sum(p.numel() for p in net.parameters()))


def probe_generators(
    fillings: Sequence[TrialSpec], pairs: Pairs, measure: MeasureGenerator
) -> dict[str, GeneratorProbe]:
    """One probe of each generator of the study, by `str`, over as many images as a class has, or fewer.

    Args:
        fillings: trials that together have every generator.
        pairs: the real samples.
        measure: runs a probe.
    """
    num = max(FEWEST, min(PROBED, int(real_samples(fillings[0].data.split, len(pairs)) / len(pairs.labels))))
    return {
        name: measure(wanted, num)
        for name, wanted in {str(wanted.generator): wanted for _, wanted in _wishes(fillings)}.items()
    }


def generating(
    spec: StudySpec,
    searched: Sequence[TrialSpec],
    follow: Sequence[TrialSpec],
    pairs: Pairs,
    probes: Mapping[str, GeneratorProbe],
) -> Generating:
    """The needs of all generators, each trained for every image setting, and for the repeats' best configurations in every fold.

    Args:
        spec: the study.
        searched: fillings of the search.
        follow: the ablations' variants.
        pairs: the real samples.
        probes: of each generator.
    """
    real = real_samples(searched[0].data.split, len(pairs))

    def take(wishes: Iterable[Wish]) -> tuple[int, float, int]:
        images = {repr(wish): wish for wish in wishes}.values()
        trained = {(repr(settings), str(w.generator), w.epochs, w.seed): w for settings, w in images}.values()
        weights = sum(4 * probes[str(w.generator)].num_parameters for w in trained) * len(pairs.labels)
        pixels = sum(int(num_training_samples(real, w)) * settings.image_px**2 * 3 for settings, w in images)
        return (
            len(trained) * len(pairs.labels),
            sum(w.epochs * real * probes[str(w.generator)].train_s for w in trained),
            weights + pixels,
        )

    num, before_s, num_bytes = take(_wishes([*searched, *follow]))
    confirm = spec.search.confirm
    if confirm is None or confirm.folds == 1:
        return Generating(num, before_s, 0.0, num_bytes)
    dearest = sorted(_wishes(searched), key=lambda wish: take([wish])[1], reverse=True)[: confirm.top]
    more, again_s, more_bytes = take(dearest)
    return Generating(
        num + confirm.folds * more, before_s, confirm.folds * again_s, num_bytes + confirm.folds * more_bytes
    )


def real_samples(split: SplitSpec, num: int) -> float:
    """Training samples of a data set of `num`, as the shares of the split have it."""
    return (1 - split.val - (1 / split.folds if split.folds > 1 else split.test)) * num


def num_training_samples(real: float, wanted: GeneratedSpec | None) -> float:
    """Training samples of a trial with `real` ones: with share s below 1 they are r / (1 - s), with share 1 all are replaced."""
    return real if wanted is None or wanted.share == 1 else real / (1 - wanted.share)


def _wishes(fillings: Sequence[TrialSpec]) -> list[Wish]:
    """Every setting of generated images with every image setting, since an ablation stands on the best trial."""
    images = {repr(settings): settings for settings in (Preprocessing.of(f.data) for f in fillings)}
    wanted = {repr(f.data.generated): f.data.generated for f in fillings if f.data.generated is not None}
    return [(settings, one) for settings in images.values() for one in wanted.values()]
