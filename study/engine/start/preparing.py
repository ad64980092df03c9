"""What all trials of a study need and share: data, parts that fit, fetched weights, and generated images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from models.backbones import StagedBackbone
from study.data.cohort import Cohort, open_cohort, with_generated_images
from study.data.generated_images import check_generated
from study.data.pairs import Pairs
from study.data.preprocessing import Preprocessing
from study.engine.start.cautions import cautions
from study.engine.start.identity import require_same_data
from study.engine.start.keeping import FrozenBackbone, run_frozen_backbones
from study.engine.training.checks import check_fits, check_suits
from study.engine.training.judge import judge_of
from study.engine.training.network import load_backbone
from study.evidence.further_objectives import smaller_is_better
from study.evidence.store import Store
from study.spec.data_section import GeneratedSpec
from study.spec.study_file import StudySpec
from study.spec.task import LabelKind
from study.spec.trial_spec import TrialSpec

Progress = Callable[[int, int], None]
"""Takes what is done and the total."""


def unseen(done: int, total: int) -> None:
    """Takes progress that nobody watches."""


@dataclass(frozen=True, kw_only=True)
class MadeImages:
    """Images that the generators of one setting have made, at one size.

    Attributes:
        share: Share of generated images among the training samples.
        epochs: Epochs that each generator was trained.
        seed: Seed of the generators.
        generator: The generator with its arguments.
        image_px: Side of the images in pixels.
        counts: How many images of each label there are.
        sheet: Picture of real images and generated ones.
    """

    share: float
    epochs: int
    seed: int
    generator: str
    image_px: int
    counts: Mapping[str, int]
    sheet: str


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What is known of a study before its first trial.

    Attributes:
        trials: Trials that stand for all that the study will train.
        cohort: The data at the first image setting.
        objectives: Each objective with whether smaller is better, the searched one first.
        generated: Images that generators have made.
        frozen: Frozen backbones, and whether they run once for each image.
        cautions: What a reader must know of the pretrained weights, and what was left out of the data, a
            sentence each.
    """

    trials: Sequence[TrialSpec]
    cohort: Cohort
    objectives: Mapping[str, bool]
    generated: Sequence[MadeImages]
    frozen: Sequence[FrozenBackbone]
    cautions: Sequence[str]

    @property
    def objective(self) -> str:
        """Name of the objective that is searched."""
        return next(iter(self.objectives))

    @property
    def any_trial(self) -> TrialSpec:
        """One trial, for what is the same in all of them, such as the task and where the data lie."""
        return self.trials[0]


def prepare(
    store: Store,
    spec: StudySpec,
    cache: Path,
    decoded: Progress,
    generating: Progress,
    encoding: Progress = unseen,
) -> Prepared:
    """Checks and prepares what all trials share.

    Args:
        store: Records of the run.
        spec: The study.
        cache: Folder of all image caches.
        decoded: Called with images done and their total while images are decoded.
        generating: Called with epochs done and their total while generators are trained.
        encoding: Called with samples done and their total while frozen backbones run.

    Raises:
        StudyError: Whatever the user can have got wrong.
    """
    trials, finetuned = spec.trials_to_check(), spec.finetuned_trials()
    cohort = open_cohort(trials[0].data, cache, decoded)
    require_same_data(store, cohort)
    pairs = cohort.pairs
    objectives = _objectives(trials[0], pairs.kind)
    check_trials(trials, pairs)
    check_trials(finetuned, pairs, go_on=True)
    taken = fetch_backbones(trials)
    generated = make_images(trials, cohort, cache, decoded, generating)
    frozen = run_frozen_backbones([*trials, *finetuned], pairs, cache, spec.resources, encoding)
    lines = cautions(trials, None if pairs.synthetic else pairs.dataset)
    return Prepared(
        trials=trials,
        cohort=cohort,
        objectives=objectives,
        generated=generated,
        frozen=frozen,
        cautions=[*lines, *taken, *pairs.notes],
    )


def _objectives(trial: TrialSpec, kind: LabelKind) -> dict[str, bool]:
    """Each objective of the study with whether smaller is better, the searched one first."""
    searched = judge_of(trial, kind, trains_head=True).objective.name
    smaller = smaller_is_better(trial.more_objectives, kind)
    return {searched: False, **dict(zip(trial.more_objectives, smaller, strict=True))}


def check_trials(trials: Sequence[TrialSpec], pairs: Pairs, *, go_on: bool = False) -> None:
    """Refuses trials whose parts do not fit the data or each other.

    Args:
        trials: The trials.
        pairs: The data set.
        go_on: Whether they start from the weights of other trials.

    Raises:
        SpecError: A part does not fit.
    """
    for trial in trials:
        check_suits(trial, pairs)
    for trial in _one_of_each_network(trials):
        check_fits(trial, pairs, goes_on=go_on)


def fetch_backbones(trials: Sequence[TrialSpec]) -> list[str]:
    """Loads every backbone with pretrained weights once, so that trials do not fetch them at the same time.

    Returns:
        What each network left out or resized of a file of the user's own, a sentence each.

    Raises:
        WeightsError: Weights cannot be fetched or read.
    """
    pretrained = {}
    for trial in trials:
        backbone = trial.model.backbone
        if backbone.pretrained:
            pretrained[backbone.name, backbone.weights] = trial
    notes: list[str] = []
    for (name, weights), trial in pretrained.items():
        net = load_backbone(trial)
        taken = net.taken if isinstance(net, StagedBackbone) and weights != "imagenet" else None
        if taken and (taken.changed or taken.left_out):
            notes.append(f"Tensors of {weights} in {name}: {'; '.join(taken.lines())}.")
    return notes


def make_images(
    trials: Sequence[TrialSpec], cohort: Cohort, cache: Path, decoded: Progress, generating: Progress
) -> list[MadeImages]:
    """Decodes the images of every image setting, and makes the generated ones that trials may ask for.

    Any setting of generated images may meet any image setting, since an ablation changes the best trial.

    Args:
        trials: Trials that together have every setting.
        cohort: The data at the first image setting.
        cache: Folder of all image caches.
        decoded: Called with images done and their total.
        generating: Called with epochs done and their total.

    Raises:
        SpecError: Generators cannot be trained on these data.
        DataError: An image is bad.
    """
    settings = _generated_settings(trials)
    if settings:
        check_generated(cohort.pairs, cohort.rows("train"))
    all_images = []
    for data in [trial.data for trial in _one_of_each_image_setting(trials)]:
        images = open_cohort(data, cache, decoded)
        all_images += [_make(images, setting, data.image_px, generating) for setting in settings]
    return all_images


def _make(cohort: Cohort, setting: GeneratedSpec, image_px: int, progress: Progress) -> MadeImages:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    training = with_generated_images(cohort, setting, device, progress).training
    assert training is not None
    return MadeImages(
        share=setting.share,
        epochs=setting.epochs,
        seed=setting.seed,
        generator=str(setting.generator),
        image_px=image_px,
        counts=training.counts(),
        sheet=str(training.sheet),
    )


def _one_of_each_network(trials: Sequence[TrialSpec]) -> list[TrialSpec]:
    """One trial for each combination of model, loss and image size."""
    distinct = {}
    for trial in trials:
        has_layer_decay = trial.optimiser.layer_decay < 1
        key = (trial.model.model_dump_json(), trial.loss.name, trial.data.image_px, has_layer_decay)
        distinct[key] = trial
    return list(distinct.values())


def _one_of_each_image_setting(trials: Sequence[TrialSpec]) -> list[TrialSpec]:
    return list({repr(Preprocessing.of(trial.data)): trial for trial in trials}.values())


def _generated_settings(trials: Sequence[TrialSpec]) -> list[GeneratedSpec]:
    """Each setting of generated images once."""
    wanted = [trial.data.generated for trial in trials if trial.data.generated is not None]
    return list({setting.model_dump_json(): setting for setting in wanted}.values())
