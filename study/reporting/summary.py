"""The study in plain words: what was asked, what was found, and how far to trust it."""

import math

from study.evidence.score import SWAP_CHANGE
from study.reporting.choice_stability import choice_stability_of
from study.reporting.deciding import decisions_sentence
from study.reporting.estimates import estimates_of
from study.reporting.measures import full_name
from study.reporting.networks import network_words, parts_of
from study.reporting.results import collapse_words, parameter_names
from study.reporting.run import Run
from study.reporting.significance import SIGNIFICANCE
from study.reporting.table import Origin
from study.spec.wording import change_text

MAX_NAMES = 8  # of parameters in a sentence


def summary(run: Run) -> list[str]:
    """The paragraphs of the summary, unescaped."""
    cautions: list[str] = run.study["cautions"]
    parts = (_question(run), _trials(run), _finding(run), *cautions, _profile(run), _problems(run))
    return [part for part in parts if part]


def _question(run: Run) -> str:
    counts: dict[str, dict[str, int]] = run.study["split_counts"]
    patients = sum(int(split.get("patients", 0)) for split in counts.values())
    who = f"{patients:,} patients" if patients else "the patients"
    eyes = "both eyes of" if run.study["num_views"] == 2 else "images of"
    data = f"made-up images ({run.study['dataset']})" if run.synthetic else run.study["dataset"]
    heads = " by the best of its heads" if run.by_best_head else ""
    return (
        f"The question was: {_stopped(run.title)} "
        f"The data are {data}, {eyes} {who}, with {len(run.labels)} labels.{_searched(run)} "
        f"The trial with the greatest {full_name(run.objective)} on the validation split{heads} was chosen; "
        "the test split took no part in any choice."
    )


def _searched(run: Run) -> str:
    names = list(parameter_names(run).values())
    if not names:
        return ""
    named = f" ({', '.join(names)})" if len(names) <= MAX_NAMES else ""
    return f" The study searched {len(names)} parameter{'s' if len(names) > 1 else ''}{named}."


def _stopped(sentence: str) -> str:
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."


def _trials(run: Run) -> str:
    parts = []
    roles = (
        ("search", "of the search"),
        ("finetune", "of the fine-tuning"),
        ("tune", "of the tuning"),
        ("ablation", "of the ablations"),
    )
    for role, name in roles:
        states = run.of_role(role)["state"].value_counts()
        if states.empty:
            continue
        counted = ", ".join(f"{states[s]} {s}" for s in ("complete", "pruned", "failed") if s in states)
        trials = "trial" if states.sum() == 1 else "trials"
        parts.append(f"{states.sum()} {trials} {name} ended ({counted})")
    planned = int(run.study["num_trials"] or 0)
    missing = planned - len(run.of_role("search"))
    sentences = [f"{', '.join(parts)}."] if parts else []
    if missing > 0:
        sentences.append(f"{missing} of the {planned} trials that the study asks for have not ended yet.")
    return " ".join(sentences)


def _finding(run: Run) -> str:
    if run.best is None:
        return "No trial is complete, so there is no result."
    chosen = network_words(parts_of(run, run.best))
    value = run.score(run.best, run.objective)
    text = f"The chosen trial is {run.best}: {chosen}."
    text = " ".join(filter(None, [text, collapse_words(run, [run.best])]))
    if math.isnan(value):
        return f"{text} It has no test score."
    found = estimates_of(run).of(Origin(trials=(run.best,), measure=run.objective))
    interval = ""
    if found and not math.isnan(found.low):
        interval = f" (95 % interval {found.low:.3f} to {found.high:.3f})"
    text += f" On the test split its {full_name(run.objective)} is {value:.3f}{interval}."
    text += decisions_sentence(run, [run.objective])
    return " ".join([text, *_rivals(run, run.best, value), *_luck(run), *_swap(run, run.best)])


def _rivals(run: Run, best: str, value: float) -> list[str]:
    """What the two baselines reach, and whether their difference from the chosen trial could be chance."""
    sentences = []
    for name, title in (("prior", "The class prior"), ("untrained", "The untrained network")):
        key = run.baseline(name)
        other = run.score(key, run.objective) if key else math.nan
        if key is None or math.isnan(other):
            continue
        ours, theirs = (Origin(trials=(trial,), measure=run.objective) for trial in (best, key))
        compared = estimates_of(run).compared(ours, theirs)
        p_value = compared.p_value if compared else math.nan
        if value <= other:
            verdict = ", so these numbers do not show that anything was learnt"
        elif p_value < SIGNIFICANCE:
            verdict = ""
        else:
            p_words = "" if math.isnan(p_value) else f" (p = {p_value:.2f})"
            verdict = f", and the difference could be chance{p_words}"
        sentences.append(f"{title} reaches {other:.3f}{verdict}.")
    return sentences


def _luck(run: Run) -> list[str]:
    """What the choice among many trials did to the validation value."""
    stability = choice_stability_of(run)
    if stability is None or math.isnan(stability.selection.corrected):
        return []
    found = stability.selection
    interval = "" if math.isnan(found.low) else f" ({found.low:.3f} to {found.high:.3f})"
    return [
        f"Its validation value of {found.naive:.3f} is the best of {len(run.ranked)} and therefore too good; "
        f"corrected for the choice it is {found.corrected:.3f}{interval}."
    ]


def _swap(run: Run, best: str) -> list[str]:
    """Whether it matters which eye is which."""
    change = run.score(best, SWAP_CHANGE, head="network")
    if math.isnan(change):
        return []
    return [
        "Seen in a mirror, with the eyes exchanged, a patient of the test split gets probabilities that "
        f"differ by {change:.3f}."
    ]


def _profile(run: Run) -> str:
    changes: dict[str, object] = run.study["profile_changes"]
    name = run.study["profile"]
    if not changes:
        return f"The study file was used as it stands (profile {name})." if name else ""
    listed = "; ".join(f"{key} to {change_text(value)}" for key, value in changes.items())
    return f"Profile {name} was taken; it set {listed}."


def _problems(run: Run) -> str:
    if not run.problems:
        return ""
    return (
        f"{len(run.problems)} files could not be read and are left out of every number; they are named under "
        "Provenance."
    )
