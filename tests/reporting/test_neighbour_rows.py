"""Rows of SVK_MA: nearest neighbours as the paper prints them, and the network on which a table stands."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from study.evidence.metrics import metric_value
from study.reporting.papers import PaperTable, published
from study.reporting.registry import build_table
from study.reporting.run import Run, load_run
from study.reporting.table import Table, Value
from tests.reporting.svk_run import svk_run

SVK_MA = "ablation-svkma_figure16-svk_ma-s0"
RULE = "k=2, euclidean, uniform"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return load_run(str(svk_run(tmp_path_factory.mktemp("runs") / "svk")))


def build(name: str, run: Run) -> Table:
    table = build_table(name, run)
    assert table is not None
    return table


def value(table: Table, row: str, column: str = "accuracy") -> Value:
    cell = table.cell(row, column)
    assert isinstance(cell, Value)
    return cell


def accuracy(run: Run, trial: str, setting: str) -> float:
    """By neighbours whose equal votes go to the first class."""
    found = run.predictions(trial, head="knn_first", setting=setting)
    assert found is not None
    return metric_value("accuracy", "classes", found.target, found.score, "f1")


def test_a_row_is_decided_by_two_neighbours_and_shows_the_chosen_ones_beside_it(run: Run) -> None:
    table = build("svkma_figure16", run)
    trials = [f"ablation-svkma_figure16-svk_ma-s{seed}" for seed in (0, 1)]
    printed = [accuracy(run, trial, RULE) for trial in trials]
    assert value(table, "svk_ma").value == pytest.approx(sum(printed) / 2)
    chosen = [run.score(trial, "accuracy", head="knn") for trial in trials]
    assert value(table, "svk_ma.chosen").value == pytest.approx(sum(chosen) / 2)
    setting = next(choice.setting for choice in run.heads(SVK_MA) if choice.head == "knn")
    assert table.cell("svk_ma.chosen", "line").text == f"ours, K chosen: {setting}"
    assert table.cell("svk_ma", "line").text == f"ours, {RULE}, mean of 2"
    assert any("the 2 nearest, by euclidean distance with uniform votes" in r for r in table.remarks)
    assert next(row.key for row in table.rows if row.key.startswith("svk.")) == "svk.chosen"


def test_plain_classifiers_keep_their_own_head(run: Run) -> None:
    table = build("svkma_table8", run)
    for variant in ("vgg16", "mine"):
        origin = value(table, variant).origin
        assert origin is not None
        own = [run.score(trial, "accuracy", head="network") for trial in origin.trials]
        assert value(table, variant).value == pytest.approx(sum(own) / 2)
        with pytest.raises(KeyError, match=rf"{variant}\.chosen"):
            table.cell(f"{variant}.chosen", "accuracy")
    origin = value(table, "svk_ma").origin
    assert origin is not None
    assert (origin.head, origin.setting) == ("knn_first", RULE)


def test_the_tables_of_k_and_of_classifiers_stand_on_the_papers_network(run: Run) -> None:
    neighbours, heads = build("svkma_table6", run), build("svkma_table7", run)
    for k in (1, 3, 10):
        expected = accuracy(run, SVK_MA, f"k={k}, euclidean, uniform")
        assert value(neighbours, f"k{k}").value == pytest.approx(expected)
    assert value(heads, "knn").value == value(neighbours, "k2").value
    assert heads.cell("knn", "line").text == f"ours, {RULE}"
    assert heads.cell("svm", "line").text == "ours: not run"
    for table in (neighbours, heads):
        assert (
            f"on the embedding of {SVK_MA}, the paper's own network (svk_ma of svkma_figure16)"
            in table.caption
        )
    chosen = {row.key for row in (*neighbours.rows, *heads.rows) if row.key.endswith(".chosen")}
    assert chosen == {"k2.chosen", "knn.chosen"}
    first = "No whole number of right answers among 132"
    assert neighbours.cell("k2.published", "accuracy").notes[0].startswith(first)


def test_another_network_never_stands_for_the_papers(run: Run) -> None:
    without = replace(run, trials=run.trials[run.trials["table"] != "svkma_figure16"])
    for name in ("svkma_table6", "svkma_table7"):
        table = build(name, without)
        assert (
            "Ours: none, since this study did not train the paper's own network (svk_ma of" in table.caption
        )
        assert not any(isinstance(cell, Value) for _, _, cell in table.cells())


def test_more_neighbours_than_training_samples_are_said(tmp_path: Path) -> None:
    table = build("svkma_table6", load_run(str(svk_run(tmp_path / "few", patients=8))))
    assert isinstance(table.cell("k8", "accuracy"), Value)
    assert table.cell("k9", "line").text == "ours: no embeddings, or too few training samples for K"


def test_a_table_says_how_neighbours_are_found_and_on_which_network() -> None:
    data = published("svkma_table6").model_dump()
    rule = data["neighbours"]
    for changes, message in (
        ({"neighbours": None}, "says how they are found"),
        ({"neighbours": {**rule, "k": 2}}, "unless each row has its own"),
        ({"rows_are": "heads"}, "unless each row has its own"),
        ({"network": ""}, "says on which network they stand"),
        ({"rows_are": "variants", "neighbours": None}, "says on which network they stand"),
        ({"neighbours": {**rule, "k": 51}}, "less than or equal to 50"),
    ):
        with pytest.raises(ValidationError, match=message):
            PaperTable.model_validate({**data, **changes})
