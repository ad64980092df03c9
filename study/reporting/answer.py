"""The study's answer: what is best, how good it is, and by how much; each number traced as in a table."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

from study.reporting.choice_stability import choice_stability_of
from study.reporting.estimates import estimates_of
from study.reporting.measures import full_name
from study.reporting.networks import differing_words, network_words, next_family, parts_of
from study.reporting.results import collapse_words, measured, paired_difference
from study.reporting.run import Run
from study.reporting.significance import SIGNIFICANCE, one_seed_each
from study.reporting.table import Origin, Value

Piece = str | Value
ONE_TRAINING = ", between one training of each, which is no difference between methods"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the study found, as words and numbers in the order of reading.

    Attributes:
        lead: The first sentence: what was chosen, and its test value.
        rest: The sentences after it, each by itself.
        numbers: The numbers of all sentences, by what they are about: `test`, `next`, `prior`, `corrected`.
        titles: The same in words.
    """

    lead: tuple[Piece, ...]
    rest: tuple[tuple[Piece, ...], ...]
    numbers: dict[str, Value]
    titles: dict[str, str]


def with_interval(value: Value) -> str:
    """`0.877 [0.816, 0.915]`; the number alone where it has no interval."""
    interval = value.interval.replace(" to ", ", ")
    return f"{value.text} [{interval}]" if interval else value.text


def plain_text(pieces: tuple[Piece, ...]) -> str:
    """The pieces as one line of text."""
    return "".join(piece if isinstance(piece, str) else with_interval(piece) for piece in pieces)


def answer_lines(run: Run) -> list[str]:
    """The answer as lines for a console, a sentence each."""
    found = answer_of(run)
    if found is None:
        return ["No trial is complete, so there is no answer."]
    return [plain_text(pieces) for pieces in (found.lead, *found.rest)]


@lru_cache(maxsize=8)
def answer_of(run: Run) -> Answer | None:
    """The run's answer; None where no trial is complete, or the chosen one has no test score."""
    if run.best is None:
        return None
    origin = Origin(trials=(run.best,), measure=run.objective)
    test = measured(run, origin)
    if not isinstance(test, Value) or math.isnan(test.value):
        return None
    test = replace(test, notes=())
    numbers, titles, rest = {"test": test}, {"test": "chosen network, test"}, []
    rivals = _rivals(run, run.best)
    beaten = False
    for name, (trial, title) in rivals.items():
        difference = paired_difference(run, test, replace(origin, trials=(trial,)))
        if isinstance(difference, Value) and not math.isnan(difference.value):
            numbers[name], titles[name] = difference, f"difference from {title}, test"
            sure = _is_told_apart(run, origin, trial)
            one_seed = one_seed_each(run, [origin, replace(origin, trials=(trial,))])
            is_better = difference.value > 0
            beaten = beaten or (name == "next" and sure and is_better and not one_seed)
            rest.append(_against(title, difference, ONE_TRAINING if one_seed else "", sure=sure))
    if stability := choice_stability_of(run):
        found = stability.selection
        numbers["corrected"] = Value(value=found.corrected, low=found.low, high=found.high)
        titles["corrected"] = "validation, corrected for the choice"
        if not math.isnan(found.corrected):
            chosen = f"Corrected for the choice among {len(run.ranked)} trials, validation gives "
            rest.append((chosen, numbers["corrected"], "."))
    if words := estimates_of(run).support_words(origin):
        rest.append((words,))
    if words := collapse_words(run, [run.best]):
        rest.append((words,))
    network = network_words(parts_of(run, run.best))
    verb = "is best" if beaten else "was chosen"
    lead = (
        f"The network {network} {verb}: its {full_name(run.objective)} on the test patients is ",
        test,
        ".",
    )
    return Answer(lead=lead, rest=tuple(rest), numbers=numbers, titles=titles)


def _rivals(run: Run, best: str) -> dict[str, tuple[str, str]]:
    """The trials that the chosen one is compared with, and what they are in words."""
    found = {}
    if rival := next_family(run, best):
        words = differing_words(parts_of(run, best), parts_of(run, rival))
        found["next"] = (rival, f"the next family ({words})")
    if prior := run.baseline("prior"):
        found["prior"] = (prior, "the class prior")
    return found


def _is_told_apart(run: Run, origin: Origin, trial: str) -> bool:
    """Whether a paired test says that the chosen trial and the other one differ."""
    compared = estimates_of(run).compared(origin, replace(origin, trials=(trial,)))
    return compared is not None and compared.p_value < SIGNIFICANCE


def _against(title: str, difference: Value, caution: str, *, sure: bool) -> tuple[Piece, ...]:
    if sure:
        return (f"The difference from {title} is ", difference, f"{caution}.")
    if not difference.interval:
        return (f"The difference from {title} is ", difference, ", which has no test.")
    return (f"The test patients do not tell it apart from {title}: ", difference, ".")
