"""The groups of patients that scores are given for, from the facts that the run keeps of its samples."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import pandas as pd

from study.evidence.run_tables import table_of_run
from study.reporting.run import Run

FINDINGS = {
    "asymmetric": "Eyes differ",
    "symmetric": "Same findings in both eyes",
    "normal": "Both eyes normal",
}
AGES = ((0, 50), (50, 65), (65, float("inf")))  # from, to less than, in years


@dataclass(frozen=True, kw_only=True)
class PatientGroup:
    """Some of the samples.

    Attributes:
        key: Name of the group in files and addresses.
        kind: The fact by which the samples are grouped: findings, age or sex.
        title: The group in words.
        samples: Names of the samples, of all splits.
    """

    key: str
    kind: str
    title: str
    samples: frozenset[str]


@lru_cache(maxsize=8)
def patient_groups(run: Run) -> dict[str, PatientGroup]:
    """The run's groups by their keys; none where the data set has none of the facts.

    A sample of which a fact is unknown is in no group of that fact.
    """
    facts = table_of_run(run.store, "samples")
    groups = [*_by_findings(facts), *_by_age(facts), *_by_sex(facts)]
    return {group.key: group for group in groups}


def _by_findings(facts: pd.DataFrame) -> Iterator[PatientGroup]:
    if facts["findings"].isin(("asymmetric", "symmetric")).any():
        for key, title in FINDINGS.items():
            yield _group("findings", key, title, facts, facts["findings"] == key)


def _by_age(facts: pd.DataFrame) -> Iterator[PatientGroup]:
    age = facts["age"]
    if age.notna().any():
        for low, high in AGES:
            last = f"to {high - 1:.0f}" if low else f"under {high}"
            title = f"{low} and more" if high == float("inf") else f"{low} {last}" if low else last
            yield _group("age", f"age_{title}", f"Age {title}", facts, (age >= low) & (age < high))


def _by_sex(facts: pd.DataFrame) -> Iterator[PatientGroup]:
    for sex in sorted(facts["sex"].dropna().unique()):
        yield _group("sex", f"sex_{sex}", f"Sex {sex}", facts, facts["sex"] == sex)


def _group(kind: str, key: str, title: str, facts: pd.DataFrame, rows: "pd.Series[bool]") -> PatientGroup:
    samples = frozenset(facts["sample"][rows])
    return PatientGroup(key=key.replace(" ", "_"), kind=kind, title=title, samples=samples)
