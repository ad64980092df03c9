"""The part `ablations` of a study file: lists of variants, how often each is trained, and how it is tuned."""

import itertools
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from study.spec.section import Section


class TuneSpec(Section):
    """The same small search for every variant, so that no row loses by a value that was found for another.

    Attributes:
        parameters: searched parameters of the study that are chosen anew for each variant.
        trials: number of settings that each variant tries with its first seed. The first setting is that of
            the ablation's base; the others are Sobol points, the same for every variant. Validation chooses.
    """

    parameters: Annotated[list[str], Field(min_length=1)]
    trials: Annotated[int, Field(ge=2)] = 6


class AblationSpec(Section):
    """Variants that are trained with every seed; the ablation's name says which table of the report it fills.

    Attributes:
        base: what fills the holes that a variant leaves open: the search's best trial (`best`), or the first
            choice and the lower end (`first`).
        seeds: seeds of the training.
        folds: number of folds of the patients; above 1 every seed is trained with each fold as test set. A
            row is then the mean over the folds, and its interval comes from all patients.
        tune: parameters that each variant chooses for itself before its seeds are trained; null for none.
        variants: settings by dotted key, by the variant's name.
    """

    base: Literal["best", "first"] = "best"
    seeds: Annotated[list[int], Field(min_length=1)] = [0]
    folds: Annotated[int, Field(ge=1)] = 1
    tune: TuneSpec | None = None
    variants: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]


class AblationTraining(NamedTuple):
    """One training of an ablation.

    Attributes:
        table: Name of the ablation.
        variant: Name of the variant.
        seed: Seed of the training.
        fold: Fold that is the test set; 0 without folds.
        key: Key of the trial in the records of a run.
        is_first: Whether it is the variant's first training.
    """

    table: str
    variant: str
    seed: int
    fold: int
    key: str
    is_first: bool


def ablation_trainings(table: str, ablation: AblationSpec) -> Iterator[AblationTraining]:
    """Every training of an ablation's variants, variant by variant."""
    runs = itertools.product(ablation.variants, ablation.seeds, range(ablation.folds))
    for variant, seed, fold in runs:
        key = f"ablation-{table}-{variant}-s{seed}" + (f"-f{fold}" if ablation.folds > 1 else "")
        is_first = (seed, fold) == (ablation.seeds[0], 0)
        yield AblationTraining(table, variant, seed, fold, key, is_first)


def tuning_keys(table: str, variant: str, tune: TuneSpec) -> list[str]:
    """Keys of the trials that tune a variant, in the order of the settings that they try."""
    return [f"tune-{table}-{variant}-{number:02d}" for number in range(tune.trials)]
