"""Intervals and paired comparisons of a run's numbers, each computed once.

Every estimate of a run is computed without the same groups of patients, so any two can be compared in pairs.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from study.evidence.evaluation import Evaluation
from study.evidence.metrics import Metric
from study.evidence.predictions import Predictions
from study.evidence.retrieval import MACRO, Ranking, is_retrieval, retrieval_means
from study.evidence.statistics.bootstrap import DecidedPredictions
from study.evidence.statistics.comparison import DELONG, MCNEMAR, Comparison, delong, mcnemar, paired
from study.evidence.statistics.estimate import (
    MIN_CARRIERS,
    MIN_CARRIERS_OF_MEAN,
    Estimate,
    Support,
    combined,
    estimate,
)
from study.evidence.statistics.jackknife import LeftOut
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
    def _left_out(self) -> dict[str, LeftOut]:
        return {}

    def of(self, origin: Origin) -> Estimate | None:
        """The estimate of the origin's number; None where its predictions are missing."""
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
            return estimate(metrics, known, self.left_out_of(source.split))
        except ValueError:  # patients that are in no trial's split: the trials are not of one study
            return {}

    def value(self, origin: Origin) -> float:
        """The origin's number from the stored predictions alone; NaN where a trial has none.

        Of a difference it is the difference.
        """
        mean = float(np.mean([self.point(origin, trial) for trial in origin.trials]))
        return mean - origin.less - (self.value(origin.minus) if origin.minus else 0.0)

    def _retrieval(self, origin: Origin) -> Estimate | None:
        """As `of`; the queries of a patient leave together, and the galleries stay whole."""
        ranked = [ranking_of(self.run, trial, origin.split) for trial in origin.trials]
        known = [found for found in ranked if found is not None]
        if not known or len(known) < len(ranked):
            return None
        groups = self.left_out_of(origin.split)
        grade = self.run.labels.index(origin.label) if origin.label else None
        left_out = np.stack(
            [
                retrieval_means(ranking, origin.measure, grade, groups.weights(patients))
                for ranking, patients in known
            ]
        )
        points = np.array([self.point(origin, trial) for trial in origin.trials])
        seeds = np.array([int(self.run.of_trial(trial, "seed")) for trial in origin.trials])
        return combined(points, left_out, seeds, self._support_of_grades(origin, known))

    def _support_of_grades(
        self, origin: Origin, ranked: Sequence[tuple[Ranking, tuple[str, ...]]]
    ) -> Support:
        """What a measure of retrieval rests on: patients with a query of its grade, or of each in a mean."""
        queries = {
            (patient, int(grade))
            for ranking, patients in ranked
            for patient, grade in zip(patients, ranking.grade, strict=True)
        }
        num = Counter(grade for _, grade in queries)
        if origin.label:
            return Support(carriers=(num[self.run.labels.index(origin.label)],), min_carriers=MIN_CARRIERS)
        if origin.measure.startswith(MACRO):
            carriers = tuple(num[grade] for grade in range(len(self.run.labels)))
            return Support(carriers=carriers, min_carriers=MIN_CARRIERS_OF_MEAN)
        return Support()

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

    def left_out_of(self, split: str) -> LeftOut:
        """Groups of all patients of the split, who are taken from one complete trial of each fold.

        Every fold is a split of its own, and so is the study's.
        """
        if split not in self._left_out:
            complete = self.run.trials[self.run.trials["state"] == "complete"]
            patients: set[str] = set()
            for key in complete.drop_duplicates("split_hash").index:
                found = self.run.predictions(str(key), split=split)
                patients |= set(found.patient) if found else set()
            self._left_out[split] = LeftOut(patients)
        return self._left_out[split]

    def compared(self, row: Origin, reference: Origin) -> Comparison | None:
        """Row minus reference on the same patients.

        Two single trainings with one sample for each patient are compared by McNemar's test where a sample is
        right or wrong, and by DeLong's test where there is a single AUC; all else by `paired`.
        """
        ours, theirs = self.of(row), self.of(reference)
        if ours is None or theirs is None:
            return None
        found = paired(ours, theirs)
        test, p_value = self._exact(row, reference)
        return found if math.isnan(p_value) else replace(found, p_value=p_value, test=test)

    def _exact(self, row: Origin, reference: Origin) -> tuple[str, float]:
        """McNemar's or DeLong's test and its p-value; NaN where neither applies."""
        one_auc = row.measure == "macro_auc" and self.run.kind == "classes" and len(self.run.labels) == 2
        single = len(row.trials) == len(reference.trials) == 1
        if not single or not (row.measure in SHARES_OF_RIGHT_SAMPLES or one_auc):
            return "", math.nan
        a, b = self._judged(row, row.trials[0]), self._judged(reference, reference.trials[0])
        if a is None or b is None or list(a.predictions.sample) != list(b.predictions.sample):
            return "", math.nan
        if len(set(a.predictions.patient)) != len(a.predictions.patient):
            return "", math.nan
        target = a.predictions.target
        if one_auc:
            scores = [judged.predictions.score[:, 1].astype(np.float64) for judged in (a, b)]
            return DELONG, delong(target[:, 1], scores[0], scores[1]).p_value
        return MCNEMAR, mcnemar((target == a.decision).all(axis=1), (target == b.decision).all(axis=1))

    def support_words(self, origin: Origin) -> str:
        """Why a number has no interval, and which labels its mean leaves out; empty where all is well."""
        found = self.of(origin)
        if found is None or not found.support.carriers or math.isnan(found.value):
            return ""
        carriers, fewest = found.support.carriers, found.support.min_carriers
        if len(carriers) == 1:
            return "" if found.support.enough else f"{_carriers(carriers[0])}: no interval."
        named = list(zip(self.run.labels, carriers, strict=True))
        few = [f"{label} has {_carriers(num)}" for label, num in named if 0 < num < fewest]
        absent = [label for label, num in named if not num]
        parts = []
        if absent:
            num_labels = f"{len(named) - len(absent)} of {len(named)} labels"
            parts.append(f"Mean over {num_labels}: no patient carries {', '.join(absent)}.")
        if few:
            parts.append(f"No interval and no test: {', '.join(few)}.")
        return " ".join(parts)


def _carriers(num: int) -> str:
    return f"{num} carrier{'' if num == 1 else 's'}"


@lru_cache(maxsize=8)
def estimates_of(run: Run) -> Estimates:
    """The run's estimates; the same object for the same run."""
    return Estimates(run)
