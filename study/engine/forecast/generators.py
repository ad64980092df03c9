"""What generators of images will take.

They are trained before the first trial, and anew for each fold of the repeats.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from study.data.generated_images import MIN_REAL_IMAGES
from study.data.generator_training import new_generator
from study.data.pairs import Pairs
from study.data.preprocessing import Preprocessing
from study.spec.data_section import GeneratedSpec, SplitSpec
from study.spec.study_file import StudySpec
from study.spec.trial_spec import TrialSpec

PROBED = 32  # images of a class at most, so that a probe takes seconds


@dataclass(frozen=True)
class GeneratorProbe:
    """What the generator of one class takes.

    Attributes:
        train_s: Seconds of a training epoch for one image.
        num_parameters: Number of parameters of all its networks.
    """

    train_s: float
    num_parameters: int


MeasureGenerator = Callable[[GeneratedSpec, int], GeneratorProbe]
"""Probes a generator on a number of images."""


@dataclass(frozen=True)
class Generating:
    """What all generators of a study take.

    The making of images from trained generators is left out: it takes less than an epoch of their training.

    Attributes:
        trainings: How many generators are trained.
        before_s: Seconds before the first trial.
        again_s: Seconds in trials that train the generators of their fold.
        num_bytes: Bytes of the generators and their images, on each machine.
    """

    trainings: int = 0
    before_s: float = 0.0
    again_s: float = 0.0
    num_bytes: int = 0


class _Setting(NamedTuple):
    """Generated images that a trial may ask for.

    Attributes:
        images: How images are prepared.
        generated: The generator, and how many images it makes.
    """

    images: Preprocessing
    generated: GeneratedSpec


def measure_generator(wanted: GeneratedSpec, num: int) -> GeneratorProbe:
    """Trains two epochs on noise, where a study's start trains its generators, and times the second one.

    Args:
        wanted: The generator.
        num: Images of a class.

    Raises:
        SpecError: An argument of the generator is out of its range.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net = new_generator(wanted, 0).to(device)
    images = torch.rand(num, 3, net.image_px, net.image_px) * 2 - 1
    seconds, began = 0.0, time.perf_counter()
    for _ in net.train_on(images, epochs=2, seed=0):
        now = time.perf_counter()
        seconds, began = now - began, now
    num_parameters = sum(parameter.numel() for parameter in net.parameters())
    return GeneratorProbe(seconds / num, num_parameters)


def probe_generators(
    trials: Sequence[TrialSpec], pairs: Pairs, measure: MeasureGenerator
) -> dict[str, GeneratorProbe]:
    """One probe of each generator of the study, by `str`, on as many images as a class has, or fewer.

    Args:
        trials: Trials that together have every generator.
        pairs: The real samples.
        measure: Runs a probe.
    """
    num_real = int(real_samples(trials[0].data.split, len(pairs)) / len(pairs.labels))
    num_images = max(MIN_REAL_IMAGES, min(PROBED, num_real))
    generators = {str(setting.generated.generator): setting.generated for setting in _settings(trials)}
    return {name: measure(wanted, num_images) for name, wanted in generators.items()}


def generating(
    spec: StudySpec,
    searched: Sequence[TrialSpec],
    variants: Sequence[TrialSpec],
    pairs: Pairs,
    probes: Mapping[str, GeneratorProbe],
) -> Generating:
    """What all generators of a study take.

    Each is trained for every image setting, and again in every fold if its configuration is repeated.

    Args:
        spec: The study.
        searched: Trials that stand for the search.
        variants: Trainings of the ablations.
        pairs: The real samples.
        probes: Probes of the generators, by `str`.
    """
    real = real_samples(searched[0].data.split, len(pairs))

    def take(settings: Iterable[_Setting]) -> Generating:
        return _trainings(settings, real, len(pairs.labels), probes)

    before = take(_settings([*searched, *variants]))
    again = [take(_settings(in_fold)) for in_fold in _by_fold(variants, searched[0].data.split)]
    confirm = spec.search.confirm
    if confirm and confirm.folds > 1:
        dearest = sorted(_settings(searched), key=lambda setting: take([setting]).before_s, reverse=True)
        again += [take(dearest[: confirm.top])] * confirm.folds
    return Generating(
        trainings=before.trainings + sum(fold.trainings for fold in again),
        before_s=before.before_s,
        again_s=sum(fold.before_s for fold in again),
        num_bytes=before.num_bytes + sum(fold.num_bytes for fold in again),
    )


def _by_fold(variants: Sequence[TrialSpec], split: SplitSpec) -> list[list[TrialSpec]]:
    """The trainings on other training patients than those of the study's split, fold by fold."""
    folds: dict[SplitSpec, list[TrialSpec]] = {}
    for trial in variants:
        if trial.data.split != split:
            folds.setdefault(trial.data.split, []).append(trial)
    return list(folds.values())


def real_samples(split: SplitSpec, num: int) -> float:
    """Training samples of a data set of `num`, by the shares of the split."""
    return split.train_share * num


def num_training_samples(real: float, wanted: GeneratedSpec | None) -> float:
    """Training samples of a trial that has r real ones: r / (1 - s) with share s below 1, r with share 1."""
    return real if wanted is None or wanted.share == 1 else real / (1 - wanted.share)


def _trainings(
    settings: Iterable[_Setting], real: float, num_labels: int, probes: Mapping[str, GeneratorProbe]
) -> Generating:
    """What the generators of these settings take if no training is done twice."""
    image_sets = {repr(setting): setting for setting in settings}.values()
    trained = {_training_key(setting): setting.generated for setting in image_sets}.values()
    weights = sum(4 * probes[str(wanted.generator)].num_parameters for wanted in trained) * num_labels
    pixels = sum(
        int(num_training_samples(real, setting.generated)) * setting.images.image_px**2 * 3
        for setting in image_sets
    )
    return Generating(
        trainings=len(trained) * num_labels,
        before_s=sum(wanted.epochs * real * probes[str(wanted.generator)].train_s for wanted in trained),
        num_bytes=weights + pixels,
    )


def _training_key(setting: _Setting) -> tuple[str, str, int, int]:
    """What makes a training of a generator different from another one; shares differ in their images only."""
    wanted = setting.generated
    return repr(setting.images), str(wanted.generator), wanted.epochs, wanted.seed


def _settings(trials: Sequence[TrialSpec]) -> list[_Setting]:
    """Every setting of generated images with every image setting: an ablation may bring them together."""
    images = {repr(settings): settings for settings in (Preprocessing.of(spec.data) for spec in trials)}
    generated = {
        repr(spec.data.generated): spec.data.generated for spec in trials if spec.data.generated is not None
    }
    return [_Setting(settings, wanted) for settings in images.values() for wanted in generated.values()]
