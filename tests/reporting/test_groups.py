"""Scores on groups of patients: the number of a group is the metric of its patients alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from study.evidence.decisions import tune_thresholds
from study.evidence.evaluation import Evaluation
from study.evidence.metrics import metrics_of
from study.evidence.run_tables import write_run_table
from study.evidence.score import tuned_thresholds
from study.evidence.statistics.bootstrap import DecidedPredictions
from study.evidence.statistics.estimate import estimate
from study.evidence.statistics.jackknife import LeftOut
from study.reporting.assembly import build_report, files
from study.reporting.estimates import estimates_of
from study.reporting.patient_groups import patient_groups
from study.reporting.registry import build_table
from study.reporting.run import Run, load_run
from study.reporting.table import Origin, Table, Text, Value
from study.reporting.tracing import why
from tests.reporting.fake_run import TABLE3, fake_run
from tests.reporting.verified import verified

PATIENTS = 60
AGES = (34.125, 49.0, 50.0, 64.0, 65.0, 91.125)
Change = Callable[[dict[str, Any]], dict[str, Any]]


def facts(split: str, number: int, target: list[int]) -> dict[str, Any]:
    """Of ten patients five have eyes that differ, and of one it is unknown; three of all are known women."""
    findings = "normal" if target[0] else "asymmetric" if number % 2 else "symmetric"
    return {
        "sample": f"{split}-{number}",
        "patient": f"{split}-patient-{number}",
        "split": split,
        "age": None if number % 10 == 9 else AGES[number % 6],
        "sex": "Female" if split == "test" and number < 3 else "Male" if number % 3 else None,
        "findings": None if number % 10 == 8 else findings,
        "target": target,
        "synthetic": False,
    }


def with_facts(
    folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]] = dict, **options: Any
) -> Run:
    run = load_run(str(fake_run(folder, num_search=3, patients=PATIENTS, **options)))
    target = {}
    for split in ("val", "test"):
        found = run.chosen_predictions(split)
        assert found is not None
        target[split] = found.target.tolist()
    rows = [facts(split, i, row) for split, of_split in target.items() for i, row in enumerate(of_split)]
    write_run_table(run.store, "samples", list(map(change, rows)))
    return run


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return with_facts(tmp_path_factory.mktemp("groups") / "known")


@pytest.fixture(scope="module")
def table(known: Run) -> Table:
    found = build_table("groups", known)
    assert found is not None
    return found


def value(table: Table, row: str, column: str) -> Value:
    cell = table.cell(row, column)
    assert isinstance(cell, Value), cell
    return cell


def recomputed(run: Run, measure: str, rows: np.ndarray) -> float:
    """The measure of some test samples, decided at the thresholds that all of validation has."""
    val, test = run.chosen_predictions("val"), run.chosen_predictions()
    assert val is not None
    assert test is not None
    decision = test.score > tune_thresholds(val.target, val.score, "f1")
    found = Evaluation(test.target[rows], test.score[rows], decision[rows])
    return float(metrics_of("multilabel")[measure].compute(found)[0])


def members(run: Run, **wanted: Any) -> np.ndarray:
    """Which test samples have these facts."""
    found = run.chosen_predictions()
    assert found is not None
    rows = [facts("test", i, target) for i, target in enumerate(found.target.tolist())]
    return np.array([all(row[key] == fact for key, fact in wanted.items()) for row in rows])


def test_a_groups_number_is_the_metric_of_its_patients(known: Run, table: Table) -> None:
    found = known.chosen_predictions()
    assert found is not None
    for findings in ("asymmetric", "symmetric"):
        rows = members(known, findings=findings)
        assert value(table, f"{findings}.chosen", "patients").value == rows.sum() >= 10
        assert value(table, f"{findings}.chosen", "labels").value == found.target[rows].any(axis=0).sum()
        for measure in ("macro_average_precision", "macro_auc", "macro_f1", "exact_match"):
            expected = recomputed(known, measure, rows)
            assert value(table, f"{findings}.chosen", measure).value == pytest.approx(expected, abs=1e-12)


def test_its_interval_is_from_the_same_groups_of_all_patients(known: Run, table: Table) -> None:
    keys = tuple(f"ablation-dmsnet_table3-osim-s{seed}" for seed in (0, 1))
    rows, trainings = members(known, findings="asymmetric"), []
    for seed, key in enumerate(keys):
        found = known.predictions(key)
        assert found is not None
        among = found.among({name for name, row in zip(found.sample, rows, strict=True) if row})
        val = known.predictions(key, split="val")
        assert val is not None
        trainings.append(DecidedPredictions(among, among.score > tuned_thresholds(val, "f1"), seed=seed))
    groups = LeftOut(f"test-patient-{i}" for i in range(PATIENTS))
    expected = estimate([known.measures["exact_match"]], trainings, groups)["exact_match"][0]
    cell = value(table, "asymmetric.variant_osim", "exact_match")
    assert (cell.low, cell.high) == pytest.approx((expected.low, expected.high))
    assert cell.value == pytest.approx(expected.value)


def test_all_patients_have_the_numbers_of_the_other_tables(known: Run, table: Table) -> None:
    chosen = build_table("chosen", known)
    assert chosen is not None
    for measure in ("macro_average_precision", "macro_auc", "macro_f1", "exact_match"):
        ours, theirs = value(table, "all.chosen", measure), value(chosen, "chosen", measure)
        assert (ours.value, ours.low, ours.high) == (theirs.value, theirs.low, theirs.high)


def test_every_variant_stands_beside_the_papers_own(known: Run, table: Table) -> None:
    keys = [row.key for row in table.rows if row.key.startswith("asymmetric.")]
    assert keys == ["asymmetric.chosen", *(f"asymmetric.variant_{name}" for name in TABLE3)]
    against = value(table, "asymmetric.variant_spp", "against")
    reference, other = (
        value(table, f"asymmetric.variant_{name}", "macro_average_precision") for name in ("osim", "spp")
    )
    assert against.value == pytest.approx(other.value - reference.value)
    everybody = value(table, "all.variant_spp", "against")
    assert everybody.low <= everybody.value <= everybody.high
    assert table.cell("asymmetric.variant_osim", "against") == Text("")


def test_ages_are_banded_and_unknown_ones_counted(known: Run, table: Table) -> None:
    expected = {"under_50": {34.125, 49.0}, "50_to_64": {50.0, 64.0}, "65_and_more": {65.0, 91.125}}
    for band, ages in expected.items():
        number = sum(members(known, age=age).sum() for age in ages)
        assert value(table, f"age_{band}.chosen", "patients").value == number
    assert f"no such group: {members(known, age=None).sum()} test patients" in table.remarks[1]


def test_no_age_of_a_patient_is_in_the_report(known: Run) -> None:
    content = files(build_report(known))
    assert b"Age 50 to 64" in content["tables/groups.md"]
    for name, data in content.items():
        assert b"34.125" not in data, name
        assert b"91.125" not in data, name


def test_too_few_patients_have_a_count_and_a_reason(table: Table) -> None:
    rows = [row for row in table.rows if row.key.startswith("sex_Female")]
    assert len(rows) == 1
    assert value(table, rows[0].key, "patients").value == 3
    cell = table.cell(rows[0].key, "macro_auc")
    assert cell == Text("–", notes=("No number is given for fewer than 10 patients.",), quiet=True)


def test_patients_with_equal_labels_have_shares_of_right_ones_only(known: Run, table: Table) -> None:
    cell = table.cell("normal.chosen", "macro_average_precision")
    assert cell == Text("–", notes=("All patients of the group carry the same labels.",), quiet=True)
    rows, found = members(known, findings="normal"), known.chosen_predictions()
    assert found is not None
    expected = recomputed(known, "exact_match", rows)
    assert value(table, "normal.chosen", "exact_match").value == pytest.approx(expected)


def test_why_names_the_group_and_verify_computes_it_again(known: Run) -> None:
    report = build_report(known)
    text = "\n".join(why(report, "groups:asymmetric.variant_spp:against"))
    assert text.count("patients   Eyes differ, by ") == 2
    num = members(known, findings="asymmetric").sum()
    assert f"{num} samples of {num} patients" in text
    content = files(report)
    found = verified(report, content)
    assert found.num_compared > 300
    assert found.differences == ()


def test_other_patients_in_a_group_do_not_verify(known: Run, tmp_path: Path) -> None:
    changed = with_facts(tmp_path / "r", lambda row: {**row, "findings": "asymmetric"})
    cell = build_table("groups", known)
    assert cell is not None
    origin = value(cell, "asymmetric.chosen", "macro_auc").origin
    assert origin is not None
    assert estimates_of(changed).value(origin) != pytest.approx(estimates_of(known).value(origin))
    assert estimates_of(changed).value(origin) == pytest.approx(
        estimates_of(changed).value(Origin(trials=origin.trials, measure="macro_auc"))
    )


def test_there_is_no_table_without_facts(run: Run, tmp_path: Path) -> None:
    assert patient_groups(run) == {}
    assert build_table("groups", run) is None
    nothing = with_facts(tmp_path / "r", lambda row: {**row, "age": None, "sex": None, "findings": None})
    assert build_table("groups", nothing) is None


def test_only_known_facts_make_groups(tmp_path: Path) -> None:
    classes = with_facts(tmp_path / "r", lambda row: {**row, "age": None, "findings": None}, kind="classes")
    table = build_table("groups", classes)
    assert table is not None
    assert {row.key.partition(".")[0] for row in table.rows} == {"all", "sex_Female", "sex_Male"}
    assert [column.key for column in table.columns][4:7] == ["balanced_accuracy", "macro_auc", "macro_f1"]
