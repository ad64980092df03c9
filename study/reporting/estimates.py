"""Intervals and paired comparisons of a run's numbers, each computed once.

Every estimate of a run is made from the same resamples of the same patients, so any two can be compared in
pairs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from study.evidence.evaluation import Evaluation
from study.evidence.metrics import Metric
from study.evidence.predictions import Predictions
from study.evidence.retrieval import is_retrieval, retrieval_means
from study.evidence.statistics.bootstrap import DecidedPredictions, Estimate, Resamples, estimate, interval
from study.evidence.statistics.comparison import Comparison, delong, mcnemar, paired_bootstrap
from study.reporting.deciding import decided
from study.reporting.patient_groups import patient_groups
from study.reporting.retrieval import ranking_of
from study.reporting.run import Run
from study.reporting.table import Origin

SHARES_OF_RIGHT_SAMPLES = ("accuracy", "exact_match")  # a sample is right or wrong: McNemar's test applies


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
        """Value, interval and resamples of the origin's number; None where its predictions are missing."""
        if is_retrieval(origin.measure):
            return self._retrieval(origin)
        if origin.measure not in self.run.measures:
            return None
        metric = self.run.measures[origin.measure]
        together, alone = [metric], metric.per_label or origin.group  # of a group, few metrics are shown
        if not alone:
            together = [m for m in self.run.measures.values() if not m.per_label]
        source = replace(
            origin,
            measure=metric.name if alone else "",
            label="",
            decision=origin.decision if self.run.kind == "multilabel" else "tuned",
            minus=None,
            less=0.0,
        )
        if source not in self._found:
            self._found[source] = self._estimate(source, together)
        rows = self._found[source].get(metric.name)
        if not rows:
            return None
        return rows[self.run.labels.index(origin.label) if origin.label else 0]

    def _estimate(self, source: Origin, metrics: Sequence[Metric]) -> dict[str, list[Estimate]]:
        judged = [self._judged(source, trial) for trial in source.trials]
        known = [j for j in judged if j is not None]
        if not known or len(known) < len(judged):
            return {}
        try:
            return estimate(metrics, known, self._resamples_of(source.split))
        except ValueError:  # patients that are in no trial's split: the trials are not of one study
            return {}

    def value(self, origin: Origin) -> float:
        """The origin's number from the stored predictions alone; NaN where a trial has none.

        Of a difference it is the difference.
        """
        mean = float(np.mean([self.point(origin, trial) for trial in origin.trials]))
        return mean - origin.less - (self.value(origin.minus) if origin.minus else 0.0)

    def _retrieval(self, origin: Origin) -> Estimate | None:
        """As `of`. The mean of several trainings is resampled; their own spread is added to its spread."""
        ranked = [ranking_of(self.run, trial, origin.split) for trial in origin.trials]
        known = [found for found in ranked if found is not None]
        if not known or len(known) < len(ranked):
            return None
        resamples = self._resamples_of(origin.split)
        grade = self.run.labels.index(origin.label) if origin.label else None
        resampled = np.stack(
            [
                retrieval_means(ranking, origin.measure, grade, resamples.weights(patients))
                for ranking, patients in known
            ]
        )
        points = [self.point(origin, trial) for trial in origin.trials]
        between = np.var(points, ddof=1) if len(points) > 1 else 0.0
        mixed = resampled.mean(axis=0)
        low, high = interval(mixed)
        return Estimate(
            value=float(np.mean(points)),
            low=low,
            high=high,
            spread=float(np.sqrt(np.nanvar(mixed, ddof=1) + between)),
            resampled=mixed,
        )

    def greater_is_better(self, measure: str) -> bool:
        """Whether a greater value of the measure is better."""
        return is_retrieval(measure) or self.run.measures[measure].greater_is_better

    def predictions(self, origin: Origin, trial: str) -> Predictions | None:
        """One training's predictions for the origin's patients; None where there are none."""
        judged = self._judged(origin, trial)
        return judged.predictions if judged else None

    def _judged(self, source: Origin, trial: str) -> DecidedPredictions | None:
        """One training's predictions and decisions; None where they are missing."""
        return decided(
            self.run,
            trial,
            split=source.split,
            head=source.head,
            setting=source.setting,
            decision=source.decision,
            samples=patient_groups(self.run)[source.group].samples if source.group else None,
        )

    def point(self, origin: Origin, trial: str) -> float:
        """The origin's number of one trial, computed from its predictions; NaN where there are none."""
        if is_retrieval(origin.measure):
            ranked = ranking_of(self.run, trial, origin.split)
            grade = self.run.labels.index(origin.label) if origin.label else None
            return float(retrieval_means(ranked[0], origin.measure, grade)[0]) if ranked else math.nan
        judged = self._judged(origin, trial)
        if judged is None:
            return math.nan
        values = self.run.measures[origin.measure].compute(
            Evaluation(judged.predictions.target, judged.predictions.score, judged.decision)
        )
        return float(values[self.run.labels.index(origin.label), 0] if origin.label else values[0])

    def _resamples_of(self, split: str) -> Resamples:
        """Resamples of all patients of the split, who are taken from one complete trial of each fold.

        Every fold is a split of its own, and so is the study's.
        """
        if split not in self._resamples:
            complete = self.run.trials[self.run.trials["state"] == "complete"]
            patients: set[str] = set()
            for key in complete.drop_duplicates("split_hash").index:
                found = self.run.predictions(str(key), split=split)
                patients |= set(found.patient) if found else set()
            self._resamples[split] = Resamples(patients)
        return self._resamples[split]

    def compared(self, row: Origin, reference: Origin) -> Comparison | None:
        """Row minus reference on the same patients.

        Two single trainings with one sample for each patient are compared by McNemar's test where a sample is
        right or wrong, and by DeLong's test where there is a single AUC; all else by the paired bootstrap.
        """
        ours, theirs = self.of(row), self.of(reference)
        if ours is None or theirs is None:
            return None
        paired = paired_bootstrap(ours, theirs)
        exact = self._exact_p(row, reference)
        return paired if math.isnan(exact) else replace(paired, p_value=exact)

    def _exact_p(self, row: Origin, reference: Origin) -> float:
        """The p-value of McNemar's or DeLong's test; NaN where neither applies."""
        one_auc = row.measure == "macro_auc" and self.run.kind == "classes" and len(self.run.labels) == 2
        single = len(row.trials) == len(reference.trials) == 1
        if not single or not (row.measure in SHARES_OF_RIGHT_SAMPLES or one_auc):
            return math.nan
        a, b = self._judged(row, row.trials[0]), self._judged(reference, reference.trials[0])
        if a is None or b is None or list(a.predictions.sample) != list(b.predictions.sample):
            return math.nan
        if len(set(a.predictions.patient)) != len(a.predictions.patient):
            return math.nan
        target = a.predictions.target
        if one_auc:
            scores = [judged.predictions.score[:, 1].astype(np.float64) for judged in (a, b)]
            return delong(target[:, 1], scores[0], scores[1]).p_value
        return mcnemar((target == a.decision).all(axis=1), (target == b.decision).all(axis=1))


@lru_cache(maxsize=8)
def estimates_of(run: Run) -> Estimates:
    """The run's estimates; the same object for the same run."""
    return Estimates(run)
