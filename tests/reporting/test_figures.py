import numpy as np
import pytest

from study.reporting.figure import draw
from study.reporting.figures.neighbours import split_setting
from study.reporting.page import SECTIONS
from study.reporting.run import Run
from study.spec import components


def data(name: str, run: Run):  # type: ignore[no-untyped-def]
    return components.load("figure", name)().data(run)


@pytest.mark.parametrize("name", components.names("figure"))
def test_every_figure_becomes_svg_and_png(name: str, hostile: Run) -> None:
    component = components.load("figure", name)
    assert component.section in SECTIONS
    drawing = draw(name, hostile)
    if drawing is None:
        assert component().data(hostile) is None
        return
    assert drawing.svg.startswith("<svg")
    assert "SYNTHETIC" in drawing.svg
    assert drawing.png.startswith(b"\x89PNG")
    assert drawing.caption
    assert f'id="{name}-' in drawing.svg


def test_the_same_run_gives_the_same_drawing(run: Run) -> None:
    first, second = draw("history", run), draw("history", run)
    assert first == second


def test_history_keeps_the_best_of_the_complete_trials_only(run: Run) -> None:
    found = data("history", run)
    complete = np.where(found.state == "complete", found.value, -np.inf)
    assert np.array_equal(found.best, np.maximum.accumulate(complete))
    assert list(found.state).count("failed") == 2
    assert np.isnan(found.value[found.state == "failed"]).all()


def test_learning_curves_mark_the_best_epoch(run: Run) -> None:
    found = data("learning_curves", run)
    assert (found.key, found.best_epoch) == (run.best, 3)
    assert list(found.best["epoch"]) == [1, 2, 3, 4, 5]
    assert sorted(state for state, _, _ in found.others).count("pruned") == 2


def test_slices_show_a_conditional_parameter_only_where_it_exists(run: Run) -> None:
    _, slices = data("slices", run)
    by_name = {s.name: s for s in slices}
    assert set(by_name) == {"lr", "backbone", "fusion", "signed"}
    assert by_name["lr"].log
    assert by_name["fusion"].choices == ("concat", "difference")
    assert len(by_name["signed"].value) < len(by_name["lr"].value)
    assert by_name["lr"].best.sum() == 1


def test_reliability_counts_every_decision_once(run: Run) -> None:
    found = data("reliability", run)
    assert found.count.sum() == 90 * 8
    assert found.error == pytest.approx(float(np.sum(found.count * np.abs(found.share - found.score)) / found.count.sum()))
    assert np.all(np.diff(found.score) > 0)


def test_label_bars_are_the_stored_scores_with_the_labels_share(run: Run) -> None:
    found = data("labels", run)
    assert found.auc[1] == run.score(str(run.best), "auc", label="D")
    assert found.prevalence[1] == pytest.approx(run.study["split_counts"]["test"]["D"] / 90)


@pytest.mark.parametrize(
    ("setting", "parts"),
    [("k=5, cosine, uniform", (5, "cosine, uniform")), ("k=12", (12, "")), ("", (0, "")), ("C=1", (0, "C=1"))],
)
def test_a_setting_splits_into_k_and_the_way(setting: str, parts: tuple[int, str]) -> None:
    assert split_setting(setting) == parts
