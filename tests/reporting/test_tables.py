import math

import numpy as np
import pytest

from study.reporting.building import build_report
from study.reporting.page import SECTIONS
from study.reporting.papers import published_names
from study.reporting.run import Run
from study.reporting.table import Published, Table, Text, Value
from study.spec import components
from tests.reporting.fake_run import HOSTILE, TABLE3


def build(name: str, run: Run) -> Table:
    table = components.load("table", name)().build(run)
    assert isinstance(table, Table)
    return table


def value(table: Table, row: str, column: str) -> Value:
    cell = table.cell(row, column)
    assert isinstance(cell, Value)
    return cell


@pytest.mark.parametrize("name", components.names("table"))
@pytest.mark.parametrize("which", ["run", "hostile", "ultrasound"])
def test_every_table_keeps_its_name_and_section(name: str, which: str, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(which)
    component = components.load("table", name)()
    table = component.build(run)
    assert component.section in SECTIONS
    if table is not None:
        assert table.name == name
        assert table.rows
        assert table.synthetic == run.synthetic
        assert len({row.key for row in table.rows}) == len(table.rows)


def test_the_leaderboard_ranks_by_validation_and_ends_with_the_baselines(run: Run) -> None:
    table = build("leaderboard", run)
    assert [row.key for row in table.rows[-2:]] == ["baseline-prior", "baseline-untrained"]
    validation = [value(table, row.key, "validation").value for row in table.rows[:-2]]
    assert validation == sorted(validation, reverse=True)
    assert table.rows[0].key == run.best
    assert value(table, table.rows[0].key, "macro_auc").value == run.score(table.rows[0].key, "macro_auc")
    assert table.remarks == ("Not ranked: 2 pruned and 2 failed. A pruned trial is not a complete one.",)


def test_a_configuration_uses_the_shortest_names_that_are_unique(run: Run) -> None:
    table = build("leaderboard", run)
    words = {row.cells[2].text for row in table.rows}
    assert any("fusion difference, signed " in w for w in words)
    assert "untrained network" in words


def test_the_papers_table_shows_ours_theirs_and_the_difference(run: Run) -> None:
    table = build("dmsnet_table3", run)
    seeds = [run.score(f"ablation-dmsnet_table3-osim-s{s}", "odir_kappa") for s in (0, 1)]
    ours = value(table, "osim", "kappa")
    assert ours.value == pytest.approx(np.mean(seeds))
    assert ours.spread == pytest.approx(np.std(seeds, ddof=1))
    assert table.cell("osim.published", "kappa") == Published(0.832)
    assert value(table, "osim.difference", "kappa").value == pytest.approx(ours.value - 0.832)
    assert value(table, "osim.difference", "kappa").text.startswith(("−", "+"))


def test_rows_that_were_not_run_or_are_not_known_are_shown(run: Run) -> None:
    table = build("dmsnet_table3", run)
    assert table.cell("sppf", "line").text == "ours: not run"
    assert table.cell("simsppf.published", "line").text == "published: not known to us"
    assert table.cell("our_own.published", "line").text == "published: no such row"
    assert table.cell("sppf.published", "kappa").text == "0.778"
    assert table.cell("sppf.published", "f1").text == "–"
    assert {row.key.split(".")[0] for row in table.rows} >= set(TABLE3)


def test_a_derived_published_number_has_its_derivation_as_footnote(run: Run) -> None:
    cell = build("dmsnet_table3", run).cell("rfb.published", "precision")
    assert cell.text == "≈ 0.867"
    assert cell.notes[0].startswith("Derived by us: the precision for which")


def test_a_paper_on_other_data_makes_no_table(ultrasound: Run) -> None:
    assert components.load("table", "dmsnet_table1")().build(ultrasound) is None


def test_the_split_counts_patients_and_labels(run: Run) -> None:
    table = build("split", run)
    assert value(table, "patients", "train").value == 90
    count, share = value(table, "D", "test").value, value(table, "D", "test_share").value
    assert share == pytest.approx(100 * count / 90)
    assert table.remarks == ("Left out, one eye only: 2.",)


def test_outcomes_group_equal_ends(hostile: Run) -> None:
    table = build("outcomes", hostile)
    failed = next(row for row in table.rows if row.cells[0].text == "failed")
    assert [cell.text for cell in failed.cells] == ["failed", "non finite loss", "2", "search-00005, search-00011", HOSTILE]


def test_an_ablation_of_ones_own_has_a_row_a_variant(run: Run) -> None:
    table = build("ablations", run)
    assert [row.key for row in table.rows] == ["sizes.small", "sizes.large"]
    assert value(table, "sizes.small", "macro_auc").value == run.score("ablation-sizes-small-s0", "macro_auc")
    assert math.isnan(value(table, "sizes.small", "macro_auc").spread)


def test_provenance_names_code_data_and_machine(run: Run) -> None:
    table = build("provenance", run)
    assert table.cell("commit", "value") == Text("0123abc")
    assert table.cell("versions", "value").text == "python 3.11.4, torch 2.9.0"
    assert "training.epochs = 5" in table.cell("profile", "value").text


def test_numbers_that_are_compared_can_be_traced(run: Run) -> None:
    compared = [t for _, t in build_report(run).tables if t.name in (*published_names(), "leaderboard", "chosen")]
    known = ("validation", "parameters", "seconds")
    measured = [(c, cell) for t in compared for _, c, cell in t.cells() if isinstance(cell, Value) and c.key not in known]
    assert measured
    assert all(cell.origin is not None for _, cell in measured)
