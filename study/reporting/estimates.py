"""Intervals and paired comparisons of a run's numbers, each computed once.

Every estimate of a run is made from the same resamples of the same patients, so any two can be compared in pairs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from study.evidence.evaluation import Evaluation
from study.evidence.metrics import Metric
from study.evidence.retrieval import is_retrieval, retrieval_means
from study.evidence.score import decisions_of, tuned_thresholds
from study.evidence.statistics.bootstrap import Estimate, Judged, Resamples, estimate, interval
from study.evidence.statistics.comparison import Comparison, delong, mcnemar, paired_bootstrap
from study.reporting.retrieval import ranking_of
from study.reporting.run import Run
from study.reporting.table import Origin

EXACT = ("accuracy", "exact_match")  # a sample is right or wrong: McNemar's test applies


@dataclass
class Estimates:
    """The estimates of one run."""

    run: Run

    @cached_property
    def _found(self) -> dict[Origin, dict[str, list[Estimate]]]:
        return {}

    @cached_property
    def _resamples(self) -> dict[str, Resamples]:
        return {}

    def of(self, origin: Origin) -> Estimate | None:
        """Value, interval and resamples of the origin's number; None where its predictions are not there."""
        if is_retrieval(origin.measure):
            return self._retrieval(origin)
        if origin.measure not in self.run.measures:
            return None
        metric = self.run.measures[origin.measure]
        wanted = [metric] if metric.per_label else [m for m in self.run.measures.values() if not m.per_label]
        rule = self.run.decision_rule(origin.decision)
        source = replace(
            origin,
            measure=metric.name if metric.per_label else "",
            label="",
            decision=rule,
            minus=None,
            less=0.0,
        )
        if source not in self._found:
            self._found[source] = self._estimate(source, wanted)
        rows = self._found[source].get(metric.name)
        return rows[self.run.labels.index(origin.label) if origin.label else 0] if rows else None

    def _estimate(self, source: Origin, metrics: Sequence[Metric]) -> dict[str, list[Estimate]]:
        judged = [self.judged(source, trial) for trial in source.trials]
        if not judged or any(j is None for j in judged):
            return {}
        try:
            return estimate(metrics, [j for j in judged if j is not None], self._resamples_of(source.split))
        except ValueError:  # patients that are in no trial's split: the trials are not of one study
            return {}

    def value(self, origin: Origin) -> float:
        """The origin's number from the stored predictions alone, differences included; NaN where a trial has none."""
        mean = float(np.mean([self.point(origin, trial) for trial in origin.trials]))
        return mean - origin.less - (self.value(origin.minus) if origin.minus else 0.0)

    def _retrieval(self, origin: Origin) -> Estimate | None:
        """Patients are resampled; several trainings are averaged, and their spread is added to that over patients."""
        ranked = [ranking_of(self.run, trial, origin.split) for trial in origin.trials]
        known = [found for found in ranked if found is not None]
        if not known or len(known) < len(ranked):
            return None
        resamples = self._resamples_of(origin.split)
        grade = self.run.labels.index(origin.label) if origin.label else None
        resampled = np.stack(
            [retrieval_means(r, origin.measure, grade, resamples.weights(patients)) for r, patients in known]
        )
        points = [self.point(origin, trial) for trial in origin.trials]
        between = np.var(points, ddof=1) if len(points) > 1 else 0.0
        mixed = resampled.mean(axis=0)
        low, high = interval(mixed)
        return Estimate(
            float(np.mean(points)), low, high, float(np.sqrt(np.nanvar(mixed, ddof=1) + between)), mixed
        )

    def greater_is_better(self, measure: str) -> bool:
        """Which way a measure is better."""
        return is_retrieval(measure) or self.run.measures[measure].greater_is_better

    def judged(self, source: Origin, trial: str) -> Judged | None:
        """One training's predictions and decisions; None where they are not there."""
        run = self.run
        found = run.predictions(trial, split=source.split, head=source.head, setting=source.setting)
        if found is None:
            return None
        rule, thresholds = run.decision_rule(source.decision), None
        if rule == "tuned":
            val = run.predictions(trial, split="val", head=source.head, setting=source.setting)
            if val is None:
                return None
            thresholds = tuned_thresholds(val)
        decision = decisions_of(found, run.kind, thresholds)[rule]
        return Judged(found, decision, int(run.of_trial(trial, "seed")), int(run.of_trial(trial, "fold")))

    def point(self, origin: Origin, trial: str) -> float:
        """The origin's number of one trial, computed from its predictions; NaN where there are none."""
        if is_retrieval(origin.measure):
            ranked = ranking_of(self.run, trial, origin.split)
            grade = self.run.labels.index(origin.label) if origin.label else None
            return float(retrieval_means(ranked[0], origin.measure, grade)[0]) if ranked else math.nan
        judged = self.judged(origin, trial)
        if judged is None:
            return math.nan
        values = self.run.measures[origin.measure].compute(
            Evaluation(judged.predictions.target, judged.predictions.score, judged.decision)
        )
        return float(values[self.run.labels.index(origin.label), 0] if origin.label else values[0])

    def _resamples_of(self, split: str) -> Resamples:
        """Of all patients of the split, taken from one complete trial of each fold."""
        if split not in self._resamples:
            complete = self.run.trials[self.run.trials["state"] == "complete"]
            firsts = [str(key) for key in complete.drop_duplicates("fold").index]
            patients = {
                p
                for key in firsts
                if (found := self.run.predictions(key, split=split))
                for p in found.patient
            }
            self._resamples[split] = Resamples(patients)
        return self._resamples[split]

    def compared(self, row: Origin, reference: Origin) -> Comparison | None:
        """Row minus reference on the same patients.

        Two trainings of one sample a patient are compared by McNemar's test where a sample is right or wrong, and by
        DeLong's test where there is a single AUC; all else by the paired bootstrap.
        """
        ours, theirs = self.of(row), self.of(reference)
        if ours is None or theirs is None:
            return None
        paired = paired_bootstrap(ours, theirs)
        exact = self._exact_p(row, reference)
        return paired if math.isnan(exact) else replace(paired, p_value=exact)

    def _exact_p(self, row: Origin, reference: Origin) -> float:
        one_auc = row.measure == "macro_auc" and self.run.kind == "classes" and len(self.run.labels) == 2
        if not (row.measure in EXACT or one_auc) or len(row.trials) != 1 or len(reference.trials) != 1:
            return math.nan
        a, b = self.judged(row, row.trials[0]), self.judged(reference, reference.trials[0])
        if a is None or b is None or list(a.predictions.sample) != list(b.predictions.sample):
            return math.nan
        if len(set(a.predictions.patient)) != len(a.predictions.patient):
            return math.nan
        target = a.predictions.target
        if one_auc:
            return delong(
                target[:, 1],
                a.predictions.score[:, 1].astype(np.float64),
                b.predictions.score[:, 1].astype(np.float64),
            ).p_value
        return mcnemar((target == a.decision).all(axis=1), (target == b.decision).all(axis=1))


@lru_cache(maxsize=8)
def estimates_of(run: Run) -> Estimates:
    """The run's estimates; the same object for the same run."""
    return Estimates(run)
