"""The chosen trial and the variants of an ablation on groups of patients: eyes that differ, age and sex.

Source: the project's own; DMS-Net (Huo et al. 2025) has a module for what differs between both eyes and one
for what they share, and gives no number for either kind of patients.
Differs: nothing.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from study.evidence.statistics.estimate import MIN_CARRIERS_OF_MEAN
from study.reporting.estimates import SHARES_OF_RIGHT_SAMPLES, estimates_of
from study.reporting.measures import full_name, short_name
from study.reporting.papers import published, published_names
from study.reporting.patient_groups import PatientGroup, patient_groups
from study.reporting.results import measured, paired_difference
from study.reporting.row_trials import variants_by_group
from study.reporting.run import Run
from study.reporting.table import NOTHING, Cell, Column, Origin, Row, Table, Text, Value, count
from study.spec.wording import MISSING

MIN_PATIENTS = 10  # fewer would say little, and single persons could be found in the number
MEASURES = ("macro_auc", "macro_f1", "exact_match", "accuracy")
EVERYBODY = PatientGroup(key="", kind="", title="All patients", samples=frozenset())
DEFINITIONS = {
    "findings": (
        "Eyes differ: a label is known of both eyes, and only one of them has it. Same findings: both eyes "
        "have the same labels, and not the normal one. The labels are those of each eye by itself; two "
        "diseases with one label, and two degrees of one disease, count as the same."
    ),
    "age": "Age in years, as the data set has it.",
    "sex": "Sex as the data set has it.",
}


@dataclass(frozen=True)
class _Model:
    """What a line is about.

    Attributes:
        key: Its name in addresses.
        title: Its name in the table.
        trials: Its trainings.
    """

    key: str
    title: str
    trials: tuple[str, ...]


class Groups:
    """For each group of patients: the chosen trial, then each variant."""

    section = "chosen"

    def build(self, run: Run) -> Table | None:
        """The table; None where nothing is known of the patients, or the chosen trial has no predictions."""
        if run.best is None or not patient_groups(run) or run.chosen_predictions() is None:
            return None
        models = [_Model("chosen", f"chosen trial ({run.best})", (run.best,)), *_variants(run)]
        tests = [name for name in dict.fromkeys((run.objective, *MEASURES)) if name in run.measures]
        groups = (EVERYBODY, *patient_groups(run).values())
        return Table(
            name="groups",
            title="Scores on groups of patients",
            columns=tuple(_columns(tests, models)),
            rows=tuple(row for group in groups for row in _rows(run, group, models, tests)),
            caption=(
                "Test split, with 95 % intervals over the same patients; labels are decided as in "
                "the other tables. A mean over labels is over those that a patient of the group carries, so "
                "compare the lines of a group with each other, not with those of another group."
            ),
            remarks=tuple(_remarks(run, models)),
            synthetic=run.synthetic,
        )


def _variants(run: Run) -> list[_Model]:
    """The variants in the order of the study, the paper's own proposal first."""
    ablation, trials = variants_by_group(run)
    paper = published(ablation) if ablation in published_names() else None
    titles = {key: row.label for key, row in paper.rows.items()} if paper else {}
    order = [paper.reference if paper else "", *run.study["ablations"].get(ablation, ()), *trials]
    return [
        _Model(f"variant_{key}", titles.get(key, key), trials[key])
        for key in dict.fromkeys(order)
        if key in trials
    ]


def _columns(tests: Sequence[str], models: Sequence[_Model]) -> Iterator[Column]:
    yield Column("group", "Patients", words=True)
    yield Column("model", "", words=True)
    yield Column("patients", "Number", help="Number of test patients in the group")
    yield Column("labels", "Labels", help="Number of labels that a patient of the group carries")
    for measure in tests:
        yield Column(measure, short_name(measure), help=full_name(measure))
    if len(models) > 2:
        title = f"{short_name(tests[0])} against {models[1].title}"
        yield Column("against", title, help="Paired difference on the same patients")


def _rows(run: Run, group: PatientGroup, models: Sequence[_Model], tests: Sequence[str]) -> Iterator[Row]:
    """The lines of a group; only the first one where the group is too small for numbers."""
    reference = Origin(trials=models[min(1, len(models) - 1)].trials, measure=tests[0], group=group.key)
    for place, model in enumerate(models):
        origins = [replace(reference, trials=model.trials, measure=measure) for measure in tests]
        line = _Line.of(run, origins[0])
        cells = [line.cell(run, origin) for origin in origins]
        if len(models) > 2:
            cells.append(paired_difference(run, cells[0], reference) if place > 1 else NOTHING)
        names = (Text("" if place else group.title), Text(model.title))
        counts = (count(line.patients), count(line.carried))
        yield Row(f"{group.key or 'all'}.{model.key}", (*names, *counts, *cells), lead=place == 0)
        if line.patients < MIN_PATIENTS:
            return


@dataclass(frozen=True)
class _Line:
    """Whom a line is about.

    Attributes:
        patients: Number of patients.
        carried: Number of labels that one of them carries.
        differing: Number of labels that some of the samples carry and some do not.
    """

    patients: int
    carried: int
    differing: int

    @classmethod
    def of(cls, run: Run, origin: Origin) -> "_Line":
        """The patients of all trainings of a line."""
        found = [estimates_of(run).predictions(origin, trial) for trial in origin.trials]
        known = [predictions for predictions in found if predictions is not None]
        target = np.concatenate([np.zeros((0, len(run.labels))), *(p.target for p in known)]) > 0
        return cls(
            patients=len({patient for predictions in known for patient in predictions.patient}),
            carried=int(target.any(axis=0).sum()),
            differing=int((target.any(axis=0) & ~target.all(axis=0)).sum()),
        )

    def cell(self, run: Run, origin: Origin) -> Cell:
        """The number of the origin, or a dash and why there is none."""
        if self.patients < MIN_PATIENTS:
            return _dash(f"No number is given for fewer than {MIN_PATIENTS} patients.")
        if not self.differing and origin.measure not in SHARES_OF_RIGHT_SAMPLES:
            return _dash("All patients of the group carry the same labels.")
        cell = measured(run, origin)
        if isinstance(cell, Value) and math.isnan(cell.value):
            return _dash("The measure is not defined for these patients.")
        return cell


def _dash(reason: str) -> Text:
    return Text(MISSING, notes=(reason,), quiet=True)


def _remarks(run: Run, models: Sequence[_Model]) -> Iterator[str]:
    groups = patient_groups(run).values()
    for kind in dict.fromkeys(group.kind for group in groups):
        num = _num_unknown(run, frozenset().union(*(g.samples for g in groups if g.kind == kind)))
        left_out = f" Unknown, and in no such group: {num} test patients." if num else ""
        yield DEFINITIONS[kind] + left_out
    yield (
        f"A mean over labels has an interval only where at least {MIN_CARRIERS_OF_MEAN} patients of the "
        "group carry each of its labels."
    )
    if len(models) > 2:
        yield (
            "The differences are not corrected for their number: of twenty that are nothing, one may have an "
            "interval without zero."
        )


def _num_unknown(run: Run, known: frozenset[str]) -> int:
    """Number of test patients who have a sample that is in no group of a fact."""
    found = run.chosen_predictions()
    assert found is not None
    return len({p for sample, p in zip(found.sample, found.patient, strict=True) if sample not in known})
