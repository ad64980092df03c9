import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from study.reporting.assembly import build_tables
from study.reporting.deciding import decided
from study.reporting.page import SECTIONS
from study.reporting.papers import published, published_names
from study.reporting.registry import build_table, section_of, table_entries, table_names
from study.reporting.run import Run, load_run
from study.reporting.table import Published, Table, Text, Value
from tests.reporting.fake_run import HOSTILE, TABLE3, FakeRun


def build(name: str, run: Run) -> Table:
    table = build_table(name, run)
    assert table is not None
    return table


def value(table: Table, row: str, column: str) -> Value:
    cell = table.cell(row, column)
    assert isinstance(cell, Value)
    return cell


@pytest.mark.parametrize("name", table_names())
@pytest.mark.parametrize("which", ["run", "hostile", "ultrasound", "retina"])
def test_every_table_keeps_its_name_and_section(
    name: str, which: str, request: pytest.FixtureRequest
) -> None:
    run: Run = request.getfixturevalue(which)
    table = build_table(name, run)
    assert section_of(name) in SECTIONS
    if table is not None:
        assert table.name == name
        assert table.rows
        assert table.synthetic == run.synthetic
        assert len({row.key for row in table.rows}) == len(table.rows)


def test_a_paper_and_a_computed_table_never_share_a_name() -> None:
    assert len(set(table_names())) == len(table_names())
    assert set(table_names()) > set(published_names())


def test_every_table_is_listed_with_source_and_difference() -> None:
    entries = {entry.name: entry for entry in table_entries()}
    assert list(entries) == table_names()
    assert all(entry.summary and entry.source and entry.differs for entry in entries.values())
    assert entries["dmsnet_table3"].summary.startswith("DMS-Net, Table 3: OSIM against")


def test_the_leaderboard_ranks_by_validation_and_ends_with_the_baselines(run: Run) -> None:
    table = build("leaderboard", run)
    assert [row.key for row in table.rows[-2:]] == ["baseline-prior", "baseline-untrained"]
    validation = [value(table, row.key, "validation").value for row in table.rows[:-2]]
    assert validation == sorted(validation, reverse=True)
    assert table.rows[0].key == run.best
    assert value(table, table.rows[0].key, "macro_auc").value == run.score(table.rows[0].key, "macro_auc")
    assert "Not ranked: 2 pruned and 2 failed. A pruned trial is not a complete one." in table.remarks


def test_a_configuration_uses_the_shortest_names_that_are_unique(run: Run) -> None:
    table = build("leaderboard", run)
    words = {row.cells[2].text for row in table.rows}
    assert any("signed " in w and "model.fusion" not in w for w in words)
    assert "untrained network" in words


def test_the_papers_table_shows_ours_theirs_and_the_difference(run: Run) -> None:
    table = build("dmsnet_table3", run)
    seeds = [run.score(f"ablation-dmsnet_table3-osim-s{s}", "odir_kappa") for s in (0, 1)]
    ours = value(table, "osim", "kappa")
    assert ours.value == pytest.approx(np.mean(seeds))
    assert ours.spread == pytest.approx(np.std(seeds, ddof=1))
    assert table.cell("osim.published", "accuracy") == Published(0.829)
    assert "Ours: odir5k, test split" in table.caption
    assert value(table, "osim.difference", "kappa").value == pytest.approx(ours.value - 0.832)
    assert value(table, "osim.difference", "kappa").text.startswith(("−", "+"))


def test_rows_that_were_not_run_or_are_not_known_are_shown(run: Run, ultrasound: Run) -> None:
    table = build("dmsnet_table3", run)
    assert table.cell("sppf", "line").text == "ours: not run"
    assert table.cell("our_own.published", "line").text == "published: no such row"
    assert table.cell("sppf.published", "kappa").text == "0.778"
    assert not any("not known to us" in remark for remark in table.remarks)
    assert {row.key.split(".")[0] for row in table.rows} >= set(TABLE3)
    attention = build("svkma_figure16", ultrasound)
    assert attention.cell("svk.published", "line").text == "published: not known to us"
    branches = build("svkma_table5", ultrasound)
    assert branches.cell("sak_ma.published", "f1").text == "–"
    assert "– not known to us." in branches.remarks


def test_a_derived_published_number_has_its_derivation_as_footnote(ultrasound: Run) -> None:
    cell = build("svkma_table5", ultrasound).cell("sak_ma.published", "accuracy")
    assert cell.text == "≈ 0.852"
    assert cell.notes[0].startswith("Derived by us: 0.940 divided by")


def test_a_paper_on_other_data_makes_no_table(ultrasound: Run) -> None:
    assert build_table("dmsnet_table1", ultrasound) is None


def test_the_split_counts_patients_and_labels(run: Run) -> None:
    table = build("split", run)
    assert value(table, "patients", "train").value == 50
    count, share = value(table, "D", "test").value, value(table, "D", "test_share").value
    assert share == pytest.approx(100 * count / 50)
    assert table.remarks == ("Left out, one eye only: 2.",)


def test_the_split_says_what_was_generated_and_does_not_count_it(ultrasound: Run) -> None:
    label = ultrasound.labels[0]
    made = [
        {"generator": "dcgan", "epochs": 500, "share": share, "counts": {label: 7}} for share in (1.0, 0.5)
    ]
    table = build("split", replace(ultrasound, study={**ultrasound.study, "generated": made}))
    before = "Generated for the training of some trials"
    assert table.remarks[-2:] == (
        f"{before}, in place of the real samples: 7 of {label} (dcgan, 500 epochs, share 1).",
        f"{before}, beside the real samples: 7 of {label} (dcgan, 500 epochs, share 0.5).",
    )
    assert table.rows == build("split", ultrasound).rows


def test_outcomes_group_equal_ends(hostile: Run) -> None:
    table = build("outcomes", hostile)
    failed = next(row for row in table.rows if row.cells[0].text == "failed")
    assert [cell.text for cell in failed.cells] == [
        "failed",
        "non finite loss",
        "2",
        "search-00005, search-00011",
        HOSTILE,
    ]


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
    compared = [t for _, t in build_tables(run) if t.name in (*published_names(), "leaderboard", "chosen")]
    known = ("validation", "parameters", "seconds")
    measured = [
        (c, cell)
        for t in compared
        for _, c, cell in t.cells()
        if isinstance(cell, Value) and c.key not in known
    ]
    assert measured
    assert all(cell.origin is not None for _, cell in measured)


def test_intervals_hold_the_value_and_come_from_patients(run: Run) -> None:
    table = build("chosen", run)
    for column in ("macro_auc", "odir_kappa", "exact_match"):
        cell = value(table, "chosen", column)
        assert cell.low < cell.value < cell.high
    assert value(table, "prior", "macro_auc").interval == ""  # no patient changes it


def test_verdicts_are_only_given_on_the_papers_data(run: Run, hostile: Run) -> None:
    ours = build("dmsnet_table3", run)
    assert ours.cell("aspp.verdict", "accuracy").text == "cannot tell"  # 0.620 [0.457, 0.760] beside 0.776
    assert ours.cell("aspp.verdict", "auc").text == "reproduced"  # 0.980 [0.944, 0.993] beside 0.958
    table = build("dmsnet_table3", hostile)
    assert table.cell("osim.verdict", "line").text == "verdict: cannot tell"
    assert "No verdict can be given, because ours were not measured on the paper's images." in table.remarks


def test_a_row_is_set_against_the_papers_proposal_on_the_same_patients(run: Run) -> None:
    table = build("dmsnet_table3", run)
    against = value(table, "aspp.against", "auc")
    assert against.value == pytest.approx(
        value(table, "aspp", "auc").value - value(table, "osim", "auc").value
    )
    assert against.origin is not None
    assert against.origin.minus == value(table, "osim", "auc").origin
    with pytest.raises(KeyError, match=r"osim\.against"):
        table.cell("osim.against", "auc")


def test_retrieval_has_a_row_for_the_chosen_trial(retina: Run) -> None:
    table = build("fang_grades", retina)
    grades = [value(table, "chosen", f"grade{i}").value for i in range(5)]
    assert value(table, "chosen", "macro").value == pytest.approx(np.mean(grades))
    assert table.cell("solar", "line").text.startswith("ours: not built here: second-order attention")
    whole = value(build("fang_retrieval", retina), "chosen", "mhr10")
    assert whole.low < whole.value < whole.high


def test_a_grade_with_few_queries_has_no_interval_nor_has_a_mean_with_it(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "few", kind="grades", patients=100)
    rare = run.labels.index("4")
    for split, target in run.truth.items():
        if split == "test":
            keep = np.flatnonzero(target[:, rare])[:2]  # two queries of the rarest grade are left
            others = np.setdiff1d(np.flatnonzero(target[:, rare]), keep)
            target[others] = np.eye(len(run.labels), dtype=np.int8)[0]
    run.study()
    run.trial("search-00000", run.predictions("search-00000", 1.0))
    table = build("fang_grades", load_run(str(tmp_path / "few")))
    assert math.isnan(value(table, "chosen", "grade4").low)
    assert any("2 carriers: no interval" in note for note in value(table, "chosen", "grade4").notes)
    assert not math.isnan(value(table, "chosen", "grade0").low)
    assert math.isnan(value(table, "chosen", "macro").low)
    assert any(
        "No interval and no test: 4 has 2 carriers" in note for note in value(table, "chosen", "macro").notes
    )


def test_counts_of_svk_ma_stand_above_ours(ultrasound: Run) -> None:
    table = build("svkma_table1", ultrasound)
    assert table.cell("d1", "images").text == "440"
    assert table.cell("d2", "vo").text == "–"
    assert value(table, "ours", "images").value == 150


def test_branches_of_svk_ma_show_the_size_and_cost_of_our_networks(ultrasound: Run) -> None:
    trials = ultrasound.trials.replace(
        {"table": {"dmsnet_table3": "svkma_table5"}, "variant": {"osim": "svk_ma", "aspp": "sak_ma"}}
    )
    model = {
        "backbone": {"name": "vgg16", "weights": "imagenet"},
        "attention": "cbam",
    }  # as records hold them
    specs = pd.Series({key: {"model": model} for key in trials.index})
    trials = trials.assign(spec=specs, multiply_adds=30_940_000_000)
    table = build("svkma_table4", replace(ultrasound, trials=trials))
    assert table.cell("svk_ma", "branch").text == "vgg16, cbam"
    assert table.cell("svk_ma", "parameters").text == "11.20"
    assert table.cell("sak_ma", "multiply_adds").text == "30.94"
    assert table.cell("srk_ma", "parameters").text == "not run"
    assert build_table("svkma_table4", ultrasound) is None


def test_anchors_put_the_chosen_trial_first(run: Run) -> None:
    table = build("odir_anchors", run)
    assert table.rows[0].key == "ours"
    assert value(table, "ours", "kappa").value == run.score(str(run.best), "odir_kappa", decision="half")
    assert table.cell("class_prior", "auc").text == "≈ 0.758"


def test_errors_are_the_greatest_losses_first(run: Run) -> None:
    table = build("errors", run)
    losses = [value(table, row.key, "loss").value for row in table.rows]
    assert losses == sorted(losses, reverse=True)
    judged = decided(run, str(run.best))
    assert judged is not None
    found, wrong = judged.predictions, (judged.decision != (judged.predictions.target > 0)).any(axis=1)
    assert len(losses) == min(24, wrong.sum())
    assert {row.key for row in table.rows} <= set(np.array(found.sample)[wrong])
    first = list(found.sample).index(table.rows[0].key)
    expected = -np.log(np.where(found.target[first] > 0, found.score[first], 1 - found.score[first])).mean()
    assert losses[0] == pytest.approx(expected, rel=1e-4)


def test_selection_corrects_the_winners_value(run: Run) -> None:
    table = build("selection", run)
    naive, corrected = value(table, "naive", "value"), value(table, "corrected", "value")
    assert naive.value == pytest.approx(run.ranked["value"].iloc[0])
    assert corrected.low < corrected.value < corrected.high


def test_options_of_a_parameter_share_the_probability(run: Run) -> None:
    table = build("options", run)
    fusion = [
        value(table, row.key, "probability").value
        for row in table.rows
        if row.key.startswith("model.fusion=")
    ]
    assert len(fusion) == 2
    assert sum(fusion) == pytest.approx(1)


def test_operating_points_use_thresholds_of_validation(run: Run) -> None:
    table = build("operating", run)
    test = run.predictions(str(run.best))
    val = run.predictions(str(run.best), split="val")
    assert test is not None
    assert val is not None
    others = np.sort(val.score[val.target[:, 0] == 0, 0])
    called = test.score[:, 0] > others[int(np.ceil(0.9 * len(others))) - 1]
    sensitivity = value(table, "N", "sensitivity90%").value
    assert sensitivity == pytest.approx(called[test.target[:, 0] > 0].mean(), abs=0.1)


def test_a_smaller_printed_difference_takes_more_patients(run: Run) -> None:
    table = build("power", run)
    rows = {row.key for row in table.rows}
    assert {key.split(".")[1] for key in rows} == set(TABLE3) - {"osim", "our_own"}
    paper = published("dmsnet_table3").rows
    for row in ("aspp", "spp", "rfb"):
        key = f"dmsnet_table3.{row}.kappa"
        printed = value(table, key, "printed").value
        assert printed == pytest.approx(
            paper["osim"].values["kappa"].value - paper[row].values["kappa"].value
        )
    small = value(table, "dmsnet_table3.rfb.kappa", "printed").value
    large = value(table, "dmsnet_table3.spp.kappa", "printed").value
    assert 0 < small < large
    needed = [table.cell(f"dmsnet_table3.{row}.kappa", "patients") for row in ("rfb", "spp")]
    numbers = [cell.value if isinstance(cell, Value) else math.inf for cell in needed]
    assert numbers[1] < numbers[0]
