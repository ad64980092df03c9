"""What a study runs after its search: the best trials fine-tuned and repeated, ablations with their tuning,
the untrained network.

All of it follows from the study and from how the trials before it ended, so that a study that was interrupted
goes on with the orders that it would have given out.
"""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence

from study.engine.orders.trial_order import TrialOrder
from study.engine.search.samplers import sobol_values
from study.evidence.records import Role
from study.spec.ablation import AblationSpec, ablation_trainings, tuning_keys
from study.spec.finetuning import finetuned
from study.spec.holes import Scalar
from study.spec.study_file import StudySpec

UNTRAINED = "baseline-untrained"

Params = Mapping[str, Scalar]
Ranked = tuple[float, int, Params]
"""Value, number and parameters of a trial of the search."""


def search_key(number: int) -> str:
    """Key of the search's trial of that number."""
    return f"search-{number:05d}"


def finetune_key(number: int) -> str:
    """Key of the trial that goes on from the search's trial of that number."""
    return f"finetune-{search_key(number)}"


def following_keys(spec: StudySpec) -> list[str]:
    """Keys of all ablations with their tuning, and of the untrained network."""
    keys = [key for keys in tuned_variants(spec).values() for key in keys]
    for table, ablation in spec.ablations.items():
        keys += [training.key for training in ablation_trainings(table, ablation)]
    return [*keys, UNTRAINED]


def tuned_variants(spec: StudySpec) -> dict[tuple[str, str], list[str]]:
    """Keys of the trials that tune a variant, by ablation and variant."""
    return {
        (table, variant): tuning_keys(table, variant, ablation.tune)
        for table, ablation in spec.ablations.items()
        if ablation.tune
        for variant in ablation.variants
    }


def following(
    spec: StudySpec,
    ranked: Sequence[Ranked],
    in_tuning: Collection[tuple[str, str]],
) -> Iterator[TrialOrder]:
    """All that follows, but for the ablations that wait for their tuning.

    Ablations that keep weights come before others: those that train the same can then do without.

    Args:
        spec: The study.
        ranked: The search's complete trials, the best first.
        in_tuning: Ablation and variant of what is tuned first.
    """
    best = ranked[0][2] if ranked else {}
    yield from finetuning(spec, ranked)
    yield from repeats(spec, ranked)
    for table in sorted(spec.ablations, key=lambda table: table not in spec.keep_weights_of):
        for variant in spec.ablations[table].variants:
            yield from tuning(spec, table, variant, best)
            if (table, variant) not in in_tuning:
                yield from trainings(spec, table, variant, best, {})
    yield untrained(spec, best)


def finetuning(spec: StudySpec, ranked: Sequence[Ranked]) -> Iterator[TrialOrder]:
    """The search's best trials, trained on end to end from their weights; arguments as in `following`."""
    finetune = spec.search.finetune
    if finetune is None:
        return
    for _, number, params in ranked[: finetune.top]:
        yield TrialOrder(
            key=finetune_key(number),
            role=Role.FINETUNE,
            spec=finetuned(spec.preset(params), finetune).dump(),
            params=params,
            variant=search_key(number),
        )


def repeats(spec: StudySpec, ranked: Sequence[Ranked]) -> Iterator[TrialOrder]:
    """Repeats of the search's best configurations; arguments as in `following`."""
    confirm = spec.search.confirm
    if confirm is None:
        return
    for _, number, params in ranked[: confirm.top]:
        trial = spec.preset(params)
        for seed, fold in itertools.product(confirm.seeds, range(confirm.folds)):
            yield TrialOrder(
                key=f"confirm-{number:05d}-s{seed}" + (f"-f{fold}" if confirm.folds > 1 else ""),
                role=Role.CONFIRM,
                spec=trial.repeated(seed=seed, fold=fold, folds=confirm.folds).dump(),
                params=params,
                variant=search_key(number),
            )


def tuning(spec: StudySpec, table: str, variant: str, best: Params) -> Iterator[TrialOrder]:
    """The trials that tune a variant; none where its ablation is not tuned.

    Args:
        spec: The study.
        table: Name of the ablation.
        variant: Name of the variant.
        best: Parameters of the search's best trial.
    """
    ablation = spec.ablations[table]
    if ablation.tune is None:
        return
    base = base_params(ablation, best)
    for number, key in enumerate(tuning_keys(table, variant, ablation.tune)):
        tuned = _tuned_params(spec, ablation.tune.parameters, base, number)
        yield TrialOrder(
            key=key,
            role=Role.TUNE,
            spec=spec.variant(table, variant, ablation.seeds[0], {**base, **tuned}).dump(),
            params=tuned,
            table=table,
            variant=variant,
        )


def trainings(spec: StudySpec, table: str, variant: str, best: Params, tuned: Params) -> Iterator[TrialOrder]:
    """The trainings of a variant, with every seed and fold.

    Args:
        spec: The study.
        table: Name of the ablation.
        variant: Name of the variant.
        best: Parameters of the search's best trial.
        tuned: Parameters that the variant has chosen for itself.
    """
    ablation = spec.ablations[table]
    params = {**base_params(ablation, best), **tuned}
    for training in ablation_trainings(table, ablation):
        if training.variant == variant:
            yield TrialOrder(
                key=training.key,
                role=Role.ABLATION,
                spec=spec.ablation_trial(training, params).dump(),
                params=tuned,
                table=table,
                variant=variant,
            )


def untrained(spec: StudySpec, best: Params) -> TrialOrder:
    """The network of the best configuration as it was initialised."""
    return TrialOrder(key=UNTRAINED, role=Role.BASELINE, spec=spec.preset(best).dump(), trains=False)


def base_params(ablation: AblationSpec, best: Params) -> Params:
    """What fills the holes that the variants of an ablation leave open."""
    return best if ablation.base == "best" else {}


def _tuned_params(spec: StudySpec, names: Sequence[str], base: Params, number: int) -> dict[str, Scalar]:
    """The setting of that number: first that of the base, then Sobol points, the same for every variant."""
    if number == 0:
        return {name: base[name] for name in names if name in base}
    holes = spec.holes()
    return sobol_values({name: holes[name] for name in names}, spec.search.seed, number)
