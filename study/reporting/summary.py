"""The study in plain words: what was asked, what was found, and how far to trust it."""

import math

from study.reporting.measures import long
from study.reporting.results import configuration, parameter_names, setting
from study.reporting.run import Run


def summary(run: Run) -> list[str]:
    """One paragraph a string, unescaped."""
    return [part for part in (_question(run), _trials(run), _finding(run), _profile(run), _problems(run)) if part]


def _question(run: Run) -> str:
    names = list(parameter_names(run).values())
    counts: dict[str, dict[str, int]] = run.study["split_counts"]
    patients = sum(int(split.get("patients", 0)) for split in counts.values())
    who = f"{patients:,} patients" if patients else "the patients"
    eyes = "both eyes of" if run.study["num_views"] == 2 else "images of"
    searched = f" It searched {len(names)} parameter{'s' if len(names) > 1 else ''} ({', '.join(names)})." if names else ""
    data = f"made-up images ({run.study['dataset']})" if run.synthetic else run.study["dataset"]
    most = "greatest" if run.maximise else "smallest"
    return (
        f"The question was: {_stopped(run.title)} "
        f"The data are {data}, {eyes} {who}, with {len(run.labels)} labels.{searched} "
        f"Whatever had the {most} {long(run.objective)} on the validation split was chosen; the test split took no part in any choice."
    )


def _stopped(sentence: str) -> str:
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."


def _trials(run: Run) -> str:
    parts = []
    for role, name in (("search", "of the search"), ("ablation", "of the ablations")):
        states = run.of_role(role)["state"].value_counts()
        if states.empty:
            continue
        counted = ", ".join(f"{states[s]} {s}" for s in ("complete", "pruned", "failed") if s in states)
        parts.append(f"{states.sum()} trials {name} ended ({counted})")
    planned = int(run.study["num_trials"] or 0)
    missing = planned - len(run.of_role("search"))
    unfinished = f" {missing} of the {planned} trials that the study asks for have not ended yet." if missing > 0 else ""
    return f"{' and '.join(parts)}.{unfinished}" if parts else unfinished.strip()


def _finding(run: Run) -> str:
    if run.best is None:
        return "No trial is complete, so there is no result."
    value = run.score(run.best, run.objective)
    chosen = configuration(run, run.best)
    text = f"The chosen trial is {run.best}{f' ({chosen})' if chosen else ''}."
    text += f" On the test split its {long(run.objective)} is {value:.3f}" if not math.isnan(value) else " It has no test score"
    rivals = [(name, run.score(key, run.objective)) for name in ("prior", "untrained") for key in [run.baseline(name)] if key]
    named = {"prior": "the class prior", "untrained": "the untrained network"}
    known = [f"{named[name]} reaches {other:.3f}" for name, other in rivals if not math.isnan(other)]
    text += f"; {' and '.join(known)}." if known else "."
    sign = 1 if run.maximise else -1
    if any(sign * (value - other) <= 0 for _, other in rivals):
        text += " It does not beat them: nothing was learned that these numbers can show."
    return text


def _profile(run: Run) -> str:
    changes: dict[str, object] = run.study["profile_changes"]
    name = run.study["profile"]
    if not changes:
        return f"The study file was used as it stands (profile {name})." if name else ""
    listed = "; ".join(f"{key} to {setting(value)}" for key, value in changes.items())
    return f"Profile {name} was taken; it set {listed}."


def _problems(run: Run) -> str:
    if not run.problems:
        return ""
    return f"{len(run.problems)} files could not be read and are left out of every number; they are named under Provenance."
