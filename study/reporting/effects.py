"""What each option of a network is worth: its paired difference from another option on the test patients.

An ablation changes one part and trains everything else alike, so its difference is the part's own. Where
none was run for a part, the best trial of the search with the option, by validation, stands for it; two such
trials differ in more than the part.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from study.reporting.estimates import estimates_of
from study.reporting.networks import NONE, PARTS, parts_of
from study.reporting.other_settings import FREE_NEIGHBOURS, split_setting
from study.reporting.papers import published, published_names
from study.reporting.results import paired_difference, setting_words
from study.reporting.run import Run
from study.reporting.table import Origin, Value

SHOWN_K = (1, 2, 5, 10, 20, 50)
OF_K = "K"
ROWS = "rows"  # in the place of a part, where rows of an ablation differ in several parts or in none


@dataclass(frozen=True, kw_only=True)
class Effect:
    """An option of a part against the reference option.

    Attributes:
        part: The part of the network, `K` of nearest neighbours, or `rows`.
        option: The option.
        reference: What it is compared with.
        source: Whether an ablation was run for the part, or trials of the search stand for the options.
        where: Name of the ablation; empty for the search.
        difference: The option's test value less the reference's.
        trainings: Number of trainings behind the option.
    """

    part: str
    option: str
    reference: str
    source: Literal["ablation", "search"]
    where: str
    difference: Value
    trainings: int


@lru_cache(maxsize=8)
def effects_of(run: Run) -> tuple[Effect, ...]:
    """The effects of all parts, the greatest difference of a part first."""
    ablated = list(_of_ablations(run))
    parts = {effect.part for effect in ablated}
    found = [*ablated, *(effect for effect in _of_search(run) if effect.part not in parts), *_of_k(run)]
    order = (*PARTS, *(effect.part for effect in ablated if effect.part not in PARTS), OF_K)
    return tuple(sorted(found, key=lambda e: (order.index(e.part), e.where, -e.difference.value)))


def _of_ablations(run: Run) -> Iterator[Effect]:
    """Every variant of an ablation against its first one, or the one that the paper proposes."""
    trials = run.of_role("ablation", "complete")
    for table, of_table in trials.groupby("table", sort=False):
        variants = {
            str(name): tuple(map(str, rows.index)) for name, rows in of_table.groupby("variant", sort=False)
        }
        asked = run.study["ablations"].get(str(table), ())
        paper = published(str(table)) if str(table) in published_names() else None
        wanted = [paper.reference if paper else "", *asked, *variants]
        reference = next(name for name in wanted if name in variants)
        titles = {key: row.label for key, row in paper.rows.items()} if paper else {}
        others = {name: keys for name, keys in variants.items() if name != reference}
        changed = {name: _changed(run, keys[0], variants[reference][0]) for name, keys in others.items()}
        num = Counter(changed.values())  # one component with other arguments is told by its row's name
        for name, keys in others.items():
            part, option, other = changed[name]
            names = (titles.get(name, name), titles.get(reference, reference))
            yield from _effect(
                run,
                Effect(
                    part=part or ROWS,
                    option=option if option and num[changed[name]] == 1 else names[0],
                    reference=other or names[1],
                    source="ablation",
                    where=str(table),
                    difference=Value(value=0.0),
                    trainings=len(keys),
                ),
                Origin(trials=keys, measure=run.objective),
                Origin(trials=variants[reference], measure=run.objective),
            )


def _changed(run: Run, trial: str, reference: str) -> tuple[str, str, str]:
    """The one part in which two networks differ and what they have there; empty for none or several."""
    own, other = parts_of(run, trial), parts_of(run, reference)
    parts = [part for part in PARTS if own.get(part, NONE) != other.get(part, NONE)]
    if len(parts) != 1:
        return "", "", ""
    return parts[0], own.get(parts[0], NONE), other.get(parts[0], NONE)


def _of_search(run: Run) -> Iterator[Effect]:
    """The best trial with each other option, by validation, against the chosen trial."""
    if run.best is None or run.best not in run.ranked.index:
        return
    chosen = parts_of(run, run.best)
    keys = [str(key) for key in run.ranked.index[run.ranked["value"].notna()]]
    reference = Origin(trials=(run.best,), measure=run.objective)
    for part, mine in chosen.items():
        best: dict[str, str] = {}
        for key in keys:
            best.setdefault(parts_of(run, key).get(part, NONE), key)
        for option, key in best.items():
            if option != mine:
                effect = Effect(
                    part=part,
                    option=option,
                    reference=mine,
                    source="search",
                    where="",
                    difference=Value(value=0.0),
                    trainings=1,
                )
                yield from _effect(run, effect, replace(reference, trials=(key,)), reference)


def _of_k(run: Run) -> Iterator[Effect]:
    """Other numbers of neighbours on the chosen trial's embedding against the one that validation chose."""
    heads = run.heads(run.best) if run.best else []
    choice = next((choice for choice in heads if choice.head == FREE_NEIGHBOURS), None)
    if choice is None or run.best is None or run.head_measure != run.objective:
        return
    mine, way = split_setting(choice.setting)
    reference = Origin(trials=(run.best,), measure=run.head_measure, head=FREE_NEIGHBOURS)
    for k in SHOWN_K:
        setting = f"k={k}, {way}"
        if k != mine and run.predictions(run.best, head=FREE_NEIGHBOURS, setting=setting) is not None:
            effect = Effect(
                part=OF_K,
                option=str(k),
                reference=setting_words(mine),
                source="ablation",
                where="nearest neighbours",
                difference=Value(value=0.0),
                trainings=1,
            )
            yield from _effect(run, effect, replace(reference, setting=setting), reference)


def _effect(run: Run, effect: Effect, option: Origin, reference: Origin) -> Iterator[Effect]:
    """The effect with its difference, where both sides have predictions of the same patients."""
    ours = estimates_of(run).of(option)
    if ours is None:
        return
    difference = paired_difference(run, Value(value=ours.value, origin=option), reference)
    if isinstance(difference, Value) and difference.value == difference.value:
        yield replace(effect, difference=difference)


def parts_shown(effects: Sequence[Effect]) -> dict[tuple[str, str], list[Effect]]:
    """The effects by part and ablation."""
    found: dict[tuple[str, str], list[Effect]] = {}
    for effect in effects:
        found.setdefault((effect.part, effect.where), []).append(effect)
    return found
