import csv
import io
import math
from dataclasses import replace

import numpy as np
import pytest

from study.evidence.score import tuned_thresholds
from study.evidence.statistics.comparison import holm, mcnemar
from study.reporting.estimates import estimates_of
from study.reporting.rendering import comma_separated
from study.reporting.results import measured
from study.reporting.run import Run
from study.reporting.significance import ONE_SEED, comparisons, with_bold
from study.reporting.table import Column, Origin, Row, Table, Value


def table_of(run: Run, keys: list[str], measure: str) -> Table:
    rows = tuple(Row(key, (measured(run, Origin(trials=(key,), measure=measure)),)) for key in keys)
    return Table(name="t", title="T", columns=(Column(measure, measure),), rows=rows)


def test_what_learned_beats_what_did_not_and_the_table_says_by_what_rule(run: Run) -> None:
    keys = [str(run.best), "baseline-untrained", "baseline-prior"]
    table = with_bold(run, table_of(run, keys, "macro_auc"), keys[0], keys[1:], "the chosen trial")
    assert [cell.bold for _, _, cell in table.cells() if isinstance(cell, Value)] == [True, False, False]
    assert "Bold: better than the chosen trial at p < 0.05" in table.remarks[-1]
    assert "Holm-corrected over the 2 comparisons" in table.remarks[-1]


def test_a_better_row_is_bold_and_the_reference_is_not(run: Run) -> None:
    keys = ["baseline-prior", str(run.best)]
    table = with_bold(run, table_of(run, keys, "macro_auc"), keys[0], keys[1:], "the class prior")
    assert [cell.bold for _, _, cell in table.cells() if isinstance(cell, Value)] == [False, True]


def test_a_row_is_not_better_than_itself(run: Run) -> None:
    keys = [str(run.best), str(run.best)]
    single = table_of(run, keys[:1], "macro_auc")
    table = replace(single, rows=(*single.rows, Row("again", single.rows[0].cells)))
    marked = with_bold(run, table, keys[0], ["again"], "the chosen trial")
    assert not any(cell.bold for _, _, cell in marked.cells() if isinstance(cell, Value))


def test_exact_match_is_compared_by_mcnemars_test(run: Run) -> None:
    first, second = str(run.ranked.index[0]), str(run.ranked.index[-1])
    found = comparisons(run, table_of(run, [first, second], "exact_match"), first, [second])[
        second, "exact_match"
    ]
    right = []
    for key in (second, first):
        test, val = (run.predictions(key, split=split) for split in ("test", "val"))
        assert test is not None
        assert val is not None
        called = test.score > tuned_thresholds(val, "f1")
        right.append((called == (test.target > 0)).all(axis=1))
    assert found.p_value == pytest.approx(mcnemar(right[0], right[1]))
    assert found.difference == pytest.approx(right[0].mean() - right[1].mean())


def test_without_predictions_there_is_no_interval_and_no_comparison(run: Run) -> None:
    pruned = str(run.trials.index[run.trials["state"] == "pruned"][0])
    origin = Origin(trials=(pruned,), measure="macro_auc")
    best = Origin(trials=(str(run.best),), measure="macro_auc")
    assert estimates_of(run).of(origin) is None
    assert estimates_of(run).compared(origin, best) is None
    assert math.isnan(estimates_of(run).point(origin, pruned))


def test_tuned_decisions_use_the_thresholds_of_validation(run: Run) -> None:
    origin = Origin(trials=(str(run.best),), measure="macro_f1", decision="tuned")
    stored = run.score(str(run.best), "macro_f1", decision="tuned")
    assert estimates_of(run).value(origin) == pytest.approx(stored)


def test_a_value_of_several_seeds_is_their_mean(run: Run) -> None:
    keys = ("ablation-dmsnet_table3-osim-s0", "ablation-dmsnet_table3-osim-s1")
    found = estimates_of(run).of(Origin(trials=keys, measure="macro_auc"))
    assert found is not None
    assert found.value == pytest.approx(np.mean([run.score(key, "macro_auc") for key in keys]))
    single = estimates_of(run).of(Origin(trials=keys[:1], measure="macro_auc"))
    assert single is not None
    assert single.value == pytest.approx(run.score(keys[0], "macro_auc"))


def test_the_per_label_estimate_is_that_of_the_label(run: Run) -> None:
    found = estimates_of(run).of(Origin(trials=(str(run.best),), measure="auc", label="D"))
    assert found is not None
    assert found.value == pytest.approx(run.score(str(run.best), "auc", label="D"))


def test_holm_is_over_all_columns(run: Run) -> None:
    keys = [str(run.best), "baseline-untrained"]
    auc, f1 = (table_of(run, keys, measure) for measure in ("macro_auc", "macro_f1"))
    rows = tuple(Row(a.key, (*a.cells, *b.cells)) for a, b in zip(auc.rows, f1.rows, strict=True))
    table = Table(name="t", title="T", columns=(*auc.columns, *f1.columns), rows=rows)
    found = comparisons(run, table, keys[0], keys[1:])
    assert len(found) == 2
    assert max(holm([c.p_value for c in found.values()])) <= 1


def test_the_better_of_two_single_trainings_has_a_note_and_is_not_bold(run: Run) -> None:
    best, worst = str(run.best), str(run.ranked.index[-1])
    table = with_bold(run, table_of(run, [worst, best], "odir_kappa"), worst, [best], "the worst trial")
    cell = table.cell(best, "odir_kappa")
    assert isinstance(cell, Value)
    assert (cell.bold, ONE_SEED in cell.notes) == (False, True)
    assert table.remarks[-1].endswith("No number is bold between two networks of one seed each.")


def test_the_file_says_p_before_and_after_holm(run: Run) -> None:
    keys = [str(run.best), "baseline-prior"]
    table = with_bold(run, table_of(run, keys, "odir_kappa"), keys[0], keys[1:], "the chosen trial")
    found = comparisons(run, table, keys[0], keys[1:])[keys[1], "odir_kappa"]
    first, second = csv.DictReader(io.StringIO(comma_separated(table)))
    assert first["odir_kappa_p"] == ""
    assert first["odir_kappa_bold"] == "yes"
    assert float(second["odir_kappa_p"]) == float(second["odir_kappa_p_holm"]) == found.p_value
    assert second["odir_kappa_against"] == keys[0]
    assert second["odir_kappa_test"] == found.test


def test_a_table_that_is_compared_in_parts_keeps_the_tests_of_every_part(run: Run) -> None:
    parts = [[str(key) for key in run.ranked.index[i : i + 2]] for i in (0, 2)]
    table = table_of(run, [key for part in parts for key in part], "odir_kappa")
    for first, other in parts:
        table = with_bold(run, table, first, [other], first)
    for first, other in parts:
        cell = table.cell(other, "odir_kappa")
        assert isinstance(cell, Value)
        assert cell.tested is not None
        assert cell.tested.against == first
