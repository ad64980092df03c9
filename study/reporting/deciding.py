"""What is decided from a trial's scores, and at which thresholds, in words."""

from collections.abc import Collection, Iterable

from study.evidence.decisions import HALF, Decision, decide
from study.evidence.score import tuned_thresholds
from study.evidence.statistics.bootstrap import DecidedPredictions
from study.reporting.papers import PaperTable
from study.reporting.run import Run
from study.spec.wording import THRESHOLD_WORDS


def decided(
    run: Run,
    trial: str,
    *,
    split: str = "test",
    head: str = "",
    setting: str = "",
    decision: Decision = "tuned",
    samples: Collection[str] | None = None,
) -> DecidedPredictions | None:
    """A training's predictions and decisions; None where it has none, or none of validation to tune on.

    Args:
        run: The run.
        trial: Key of the trial.
        split: Split of the samples.
        head: Name of the head; empty for the one that stands for the trial.
        setting: A setting of nearest neighbours; empty for the chosen one.
        decision: At which thresholds labels are decided, where a sample may have several.
        samples: The samples that count; None for all.
    """
    found = run.predictions(trial, split=split, head=head, setting=setting)
    is_tuned = run.decision_rule(decision) == "tuned"
    val = run.predictions(trial, split="val", head=head, setting=setting) if is_tuned else None
    if found is None or (is_tuned and val is None):
        return None
    if samples is not None:
        found = found.among(samples)
        if not found.sample:
            return None
    thresholds = HALF if val is None else tuned_thresholds(val, run.thresholds)
    seed, fold = (int(run.of_trial(trial, column)) for column in ("seed", "fold"))
    return DecidedPredictions(found, decide(found.score, run.kind, thresholds), seed=seed, fold=fold)


def threshold_words(run: Run, decision: Decision = "tuned") -> str:
    """`at one half for every label` and the like; empty for classes and grades, which have no thresholds."""
    if run.kind != "multilabel":
        return ""
    return THRESHOLD_WORDS["half" if decision == "half" else run.thresholds]


def decisions_sentence(run: Run, measures: Iterable[str]) -> str:
    """A sentence for a caption, with a space before it; empty where no measure needs thresholds."""
    needed = any(run.decided_by(measure, "tuned") == "tuned" for measure in measures)
    return f" Decisions {threshold_words(run)}." if needed else ""


def paper_sentence(run: Run, paper: PaperTable) -> str:
    """As `decisions_sentence`, of our numbers in a paper's table, with the columns that differ by name."""
    rules = {m.label: run.decided_by(m.measure, m.decision) for m in paper.metrics.values() if m.measure}
    at_half = [label for label, rule in rules.items() if rule == "half"]
    if "tuned" not in rules.values():
        return f" Decisions {threshold_words(run, 'half')}." if at_half else ""
    others = f"; {', '.join(at_half)} at one half" if at_half and run.thresholds != "half" else ""
    return f" Our decisions {threshold_words(run)}{others}."
