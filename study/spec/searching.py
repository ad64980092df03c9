"""The part `search` of a study file, and whether its space suits its sampler."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from study.spec.errors import SpecError
from study.spec.grid import grid_size
from study.spec.holes import Hole, Scalar
from study.spec.section import Section
from study.spec.settings import params_of

MAX_GRID = 100_000


class ConfirmSpec(Section):
    """Repeats of the best configurations after the search, which show how much of their lead is luck.

    Attributes:
        top: how many configurations.
        seeds: of the training; each is a repeat.
        folds: above 1 every seed is repeated with each fold of the patients as test set.
    """

    top: Annotated[int, Field(ge=1)] = 3
    seeds: Annotated[list[int], Field(min_length=1)] = [1, 2, 3]
    folds: Annotated[int, Field(ge=1)] = 1


class SearchSpec(Section):
    """What is searched for and how.

    Attributes:
        trials: how many configurations are tried in all; the same command again goes on toward this number. A grid has its own.
        sampler: `tpe` tree of Parzen estimators, all parameters of a branch together; `gp` Gaussian process for the first 300
            trials, then `tpe`; `cmaes` evolution strategy; both for the numbers that every trial has (`gp` for choices too), the rest
            by `tpe`; `random`; `qmc` Sobol points; `grid` every combination.
        pruner: which rule stops a poor trial early; with several objectives none does, since a trial poor by one may be best by another.
        startup: trials before a sampler or the median rule uses what it has seen.
        min_epochs: epochs that no pruner cuts short.
        enqueue: settings tried first, each by parameter or by dotted key; what one leaves open is suggested.
        confirm: repeats of the best configurations after the search; null for none.
        parallel: `free` suggests from all that is known; `deterministic` lets suggestion i know exactly the trials up to
            i - `resources.concurrent`, so that the list of trials depends on the seed and not on who is done first.
        max_consecutive_failures: so many failed trials in a row end the study.
    """

    trials: Annotated[int, Field(ge=0)] = 20
    sampler: Literal["tpe", "gp", "cmaes", "random", "qmc", "grid"] = "tpe"
    pruner: Literal["asha", "hyperband", "median", "none"] = "asha"
    startup: Annotated[int, Field(ge=1)] = 5
    min_epochs: Annotated[int, Field(ge=1)] = 2
    seed: Annotated[int, Field(ge=0)] = 0
    enqueue: list[dict[str, Any]] = []
    confirm: ConfirmSpec | None = None
    parallel: Literal["free", "deterministic"] = "free"
    max_consecutive_failures: Annotated[int, Field(ge=1)] = 5


def always_there(holes: Mapping[str, Hole]) -> list[str]:
    """Parameters that every trial has: those that stand in no branch of a choice."""
    return [
        name for name in holes if not any(name.startswith(f"{other}.") for other in holes if other != name)
    ]


def enqueued(search: SearchSpec, template: Mapping[str, Any]) -> list[dict[str, Scalar]]:
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
    template: Mapping[str, Any],
    holes: Mapping[str, Hole],
    objectives: int,
    concurrent: int | None,
) -> None:
    """Refuses a search that makes no sense for the space, before anything runs.

    Args:
        search: the section.
        template: the study file's template.
        holes: its parameters.
        objectives: number of objectives.
        concurrent: `resources.concurrent`.

    Raises:
        SpecError: what does not go together.
    """
    enqueued(search, template)
    common = [name for name in always_there(holes) if search.sampler == "gp" or holes[name].choices is None]
    needed = {"gp": 1, "cmaes": 2}.get(search.sampler, 0)
    if search.trials and len(common) < needed:
        what = "numbers" if search.sampler == "cmaes" else "parameters"
        raise SpecError(
            f"`search.sampler`: `{search.sampler}` needs {needed} or more {what} that every trial has, got {len(common)} of the "
            f"{len(holes)} parameters ({', '.join(holes)}). Take `tpe`, which knows branches and choices."
        )
    if search.sampler == "cmaes" and objectives > 1:
        raise SpecError(
            f"`search.sampler`: `cmaes` takes one objective, got {objectives}. Take `tpe` or `gp`."
        )
    if search.sampler == "grid" and (size := grid_size(template)) > MAX_GRID:
        raise SpecError(
            f"`search.sampler`: a grid may have {MAX_GRID:,} combinations, got {size:,}. Take another sampler or longer steps."
        )
    if search.parallel == "deterministic" and concurrent is None:
        raise SpecError(
            "`resources.concurrent`: must be given with `search.parallel: deterministic`, which makes the trials depend on it."
        )
