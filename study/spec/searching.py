"""The part `search` of a study file, and whether its space suits its sampler."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from study.spec.errors import SpecError
from study.spec.finetuning import FinetuneSpec
from study.spec.grid import grid_size
from study.spec.holes import Hole, Plain, Scalar
from study.spec.section import Section
from study.spec.settings import params_of

MAX_GRID = 100_000


class ConfirmSpec(Section):
    """Repeats of the best configurations after the search, which show how much of their lead is luck.

    Attributes:
        top: how many configurations are repeated.
        seeds: seeds of the training; each is a repeat.
        folds: number of folds of the patients; above 1 every seed is repeated with each fold as test set.
    """

    top: Annotated[int, Field(ge=1)] = 3
    seeds: Annotated[list[int], Field(min_length=1)] = [1, 2, 3]
    folds: Annotated[int, Field(ge=1)] = 1


class SearchSpec(Section):
    """What is searched for and how.

    Attributes:
        trials: how many configurations are tried in all; the same command again continues toward this number.
            A grid has a number of its own.
        sampler: which method suggests the configurations. `tpe`: tree of Parzen estimators, all parameters of
            a branch together. `gp`: Gaussian process over the parameters that every trial has, for the first
            300 trials, then `tpe`. `cmaes`: evolution strategy over the numbers that every trial has.
            `random`. `qmc`: Sobol points. `grid`: every combination. Parameters that `gp` and `cmaes` leave
            out are suggested by `tpe`.
        pruner: which rule stops a poor trial early. With several objectives no rule does, since a trial that
            is poor by one objective may be best by another.
        startup: number of trials before the sampler and the median rule use the results of earlier trials.
        min_epochs: the first epoch at which the pruner may stop a trial.
        seed: seed of the sampler.
        enqueue: settings that are tried first, each by parameter or by dotted key; what one leaves open is
            suggested.
        confirm: repeats of the best configurations after the search; null for none.
        finetune: training of the best trials end to end after the search, from their weights; null for none.
            It needs a search on a frozen backbone.
        parallel: `free` suggests from all that is known. `deterministic` lets suggestion i know exactly the
            trials up to i - `resources.concurrent`, so that the list of trials depends on the seed and not on
            which trial happens to end first.
        max_consecutive_failures: number of failed trials in a row that ends the study.
    """

    trials: Annotated[int, Field(ge=0)] = 20
    sampler: Literal["tpe", "gp", "cmaes", "random", "qmc", "grid"] = "tpe"
    pruner: Literal["asha", "hyperband", "median", "none"] = "asha"
    startup: Annotated[int, Field(ge=1)] = 5
    min_epochs: Annotated[int, Field(ge=1)] = 2
    seed: Annotated[int, Field(ge=0)] = 0
    enqueue: list[dict[str, Any]] = []
    confirm: ConfirmSpec | None = None
    finetune: FinetuneSpec | None = None
    parallel: Literal["free", "deterministic"] = "free"
    max_consecutive_failures: Annotated[int, Field(ge=1)] = 5


def unconditional(holes: Mapping[str, Hole]) -> list[str]:
    """Parameters that every trial has: those that stand in no branch of a choice."""
    branches = tuple(f"{name}." for name in holes)
    return [name for name in holes if not name.startswith(branches)]


def enqueued_params(search: SearchSpec, template: Mapping[str, Plain]) -> list[dict[str, Scalar]]:
    """The parameters of the settings that are tried first.

    Raises:
        SpecError: a setting names no parameter, or a value that it cannot take.
    """
    found = []
    for place, settings in enumerate(search.enqueue):
        try:
            found.append(params_of(template, settings))
        except SpecError as error:
            raise SpecError(f"`search.enqueue.{place}`: {error}") from None
    return found


def check_search(
    search: SearchSpec,
    template: Mapping[str, Plain],
    holes: Mapping[str, Hole],
    num_objectives: int,
    concurrent: int | None,
) -> None:
    """Refuses a search that makes no sense for the space, before anything runs.

    Args:
        search: the section.
        template: the study file's template.
        holes: its parameters.
        num_objectives: number of objectives.
        concurrent: `resources.concurrent`.

    Raises:
        SpecError: the sampler cannot search this space, a setting of `enqueue` does not fit it, or
            `concurrent` is missing.
    """
    enqueued_params(search, template)
    _check_sampler(search, holes, num_objectives)
    if search.sampler == "grid" and (size := grid_size(template)) > MAX_GRID:
        raise SpecError(
            f"`search.sampler`: a grid may have {MAX_GRID:,} combinations, got {size:,}. "
            "Take another sampler or longer steps."
        )
    if search.parallel == "deterministic" and concurrent is None:
        raise SpecError(
            "`resources.concurrent`: must be given with `search.parallel: deterministic`, "
            "which makes the trials depend on it."
        )


def _check_sampler(search: SearchSpec, holes: Mapping[str, Hole], num_objectives: int) -> None:
    """Refuses a sampler that needs more parameters, or fewer objectives, than the study has."""
    common = [name for name in unconditional(holes) if search.sampler == "gp" or holes[name].choices is None]
    needed = {"gp": 1, "cmaes": 2}.get(search.sampler, 0)
    if search.trials and len(common) < needed:
        what = "numbers" if search.sampler == "cmaes" else "parameters"
        raise SpecError(
            f"`search.sampler`: `{search.sampler}` needs {needed} or more {what} that every trial has, "
            f"got {len(common)} of the {len(holes)} parameters ({', '.join(holes)}). "
            "Take `tpe`, which knows branches and choices."
        )
    if search.sampler == "cmaes" and num_objectives > 1:
        raise SpecError(
            f"`search.sampler`: `cmaes` takes one objective, got {num_objectives}. Take `tpe` or `gp`."
        )
