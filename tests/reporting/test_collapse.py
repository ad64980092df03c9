"""A collapsed training is named wherever its numbers stand, and nothing is praised for beating it."""

import json
from pathlib import Path

import pytest

from study.reporting.paper_table import paper_table
from study.reporting.registry import build_table
from study.reporting.rendering import markdown
from study.reporting.results import collapse_words
from study.reporting.run import Run, load_run
from study.reporting.side_by_side import runs_table
from study.reporting.significance import no_bold_against
from study.reporting.summary import summary
from study.reporting.table import Table, Value
from tests.reporting.fake_run import FakeRun

PRIOR = "not better than the class prior"
SHUT = "gate context.gate closed at 98 % of its values"


@pytest.fixture(scope="module")
def collapsed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The first variants of both ablations and the best trial of the search have collapsed."""
    return load_run(str(write(tmp_path_factory.mktemp("runs") / "a", chosen=PRIOR)))


def write(folder: Path, *, chosen: str) -> Path:
    run = FakeRun(folder)
    run.study(ablations=json.dumps({"dmsnet_table3": ["osim", "aspp"], "sizes": ["small", "large"]}))
    run.trial("search-00000", run.predictions("search-00000", 1.2), number=0, collapsed=chosen)
    run.trial("search-00001", run.predictions("search-00001", 0.2), number=1, collapsed="")
    variants = {("dmsnet_table3", "osim"): 0.1, ("dmsnet_table3", "aspp"): 1.6, ("sizes", "small"): 0.1}
    for (table, variant), strength in {**variants, ("sizes", "large"): 1.6}.items():
        for seed in (0, 1):
            key = f"ablation-{table}-{variant}-s{seed}"
            reason = SHUT if strength < 1 and seed == 0 else ""
            run.trial(
                key,
                run.predictions(key, strength),
                role="ablation",
                table=table,
                variant=variant,
                seed=seed,
                collapsed=reason,
            )
    run.trial("baseline-prior", run.prior("baseline-prior"), role="baseline", variant="prior")
    return folder


def table_of(run: Run, name: str) -> Table:
    table = build_table(name, run) or paper_table(run, name)
    assert table is not None
    return table


def bold(table: Table) -> list[str]:
    return [row.key for row, _, cell in table.cells() if isinstance(cell, Value) and cell.bold]


def test_the_words_count_the_trainings(collapsed: Run) -> None:
    assert collapse_words(collapsed, ["search-00000"]) == f"Collapsed: {PRIOR}."
    assert collapse_words(collapsed, ["search-00001", "baseline-prior"]) == ""
    of_osim = [f"ablation-dmsnet_table3-osim-s{seed}" for seed in (0, 1)]
    assert collapse_words(collapsed, of_osim) == f"1 of 2 trainings collapsed: {SHUT}."


def test_an_ablations_row_has_a_footnote_and_no_bold_against_it(collapsed: Run) -> None:
    table = table_of(collapsed, "ablations")
    words = f"1 of 2 trainings collapsed: {SHUT}."
    for row, column, cell in table.cells():
        if isinstance(cell, Value) and column.key != "trainings":
            assert (words in cell.notes) == (row.key == "sizes.small")
    assert bold(table) == []
    assert "better than small" not in markdown(table)
    assert no_bold_against("small", words) in table.remarks


def test_a_papers_table_names_the_collapse_where_it_compares(collapsed: Run) -> None:
    table = table_of(collapsed, "dmsnet_table3")
    assert f"1 of 2 trainings collapsed: {SHUT}." in table.marks
    against = [row.cells[1].text for row in table.rows if row.key.endswith(".against")]
    assert against
    assert set(against) == {"ours against OSIM (DMS-Net), which collapsed"}
    assert bold(table) == []
    assert not any("Bold: better than" in remark for remark in table.remarks)


def test_leaderboard_chosen_trial_and_summary_say_it(collapsed: Run) -> None:
    for name in ("leaderboard", "chosen"):
        table = table_of(collapsed, name)
        assert f"Collapsed: {PRIOR}." in table.marks
        assert bold(table) == []
    place = table_of(collapsed, "leaderboard").cell("search-00000", "trial")
    assert place.notes == (f"Collapsed: {PRIOR}.",)
    assert any(f"Collapsed: {PRIOR}." in paragraph for paragraph in summary(collapsed))


def test_runs_side_by_side_are_not_compared_with_a_collapsed_one(collapsed: Run, tmp_path: Path) -> None:
    sound = load_run(str(write(tmp_path / "b", chosen="")))
    table = runs_table([collapsed, sound])
    assert bold(table) == []
    assert table.remarks[0].startswith("No number is bold against a, because")
    assert runs_table([sound, collapsed]).remarks[0].startswith("Compared with b by paired")


def test_without_a_collapse_nothing_changes(run: Run) -> None:
    table = table_of(run, "leaderboard")
    assert not any("ollapsed" in note for note in table.marks)
    assert any("Bold: better than" in remark for remark in table.remarks)
