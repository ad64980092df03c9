from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from study.evidence.statistics.importance import DUMMY
from study.reporting.figure import draw
from study.reporting.other_settings import split_setting
from study.reporting.page import SECTIONS
from study.reporting.row_trials import compared_variants
from study.reporting.run import Run, load_run
from study.spec import components
from tests.reporting.fake_run import TABLE3, fake_run


def data(name: str, run: Run) -> Any:
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
    assert [curve.state for curve in found.others].count("pruned") == 2


def test_slices_show_a_conditional_parameter_only_where_it_exists(run: Run) -> None:
    by_name = {part.name: part for part in data("slices", run).slices}
    assert set(by_name) == {"lr", "backbone", "fusion", "signed", "KNN K", "KNN distance", "KNN vote"}
    assert by_name["lr"].log
    assert by_name["fusion"].choices == ("concat", "difference")
    assert len(by_name["signed"].value) < len(by_name["lr"].value)
    assert by_name["lr"].best.sum() == 1


def test_a_logarithmic_axis_has_numbers_and_no_formulas(run: Run) -> None:
    drawing = draw("slices", run)
    assert drawing is not None
    assert "mathdefault" not in drawing.svg
    assert ">0.001<" in drawing.svg


def test_reliability_counts_every_decision_once(run: Run) -> None:
    found = data("reliability", run)
    assert found.plain.count.sum() == 50 * 8
    gap = np.abs(found.plain.observed - found.plain.predicted)
    assert found.plain.error == pytest.approx(np.nansum(found.plain.count * gap) / found.plain.count.sum())
    assert found.temperature > 0
    assert "expected calibration error" in components.load("figure", "reliability")().caption(found).lower()


def test_confusion_counts_every_sample_once_a_label(run: Run) -> None:
    found = data("confusion", run)
    assert [panel.title for panel in found.panels] == list(run.labels)
    assert {int(panel.counts.sum()) for panel in found.panels} == {50}
    label = run.labels.index("D")
    assert found.panels[label].counts[1].sum() == run.study["split_counts"]["test"]["D"]


def test_confusion_of_classes_is_one_matrix(ultrasound: Run) -> None:
    found = data("confusion", ultrasound)
    panel = found.panels[0]
    assert panel.names == ultrasound.labels
    assert np.trace(panel.counts) / panel.counts.sum() == pytest.approx(
        ultrasound.score(str(ultrasound.best), "accuracy")
    )


def test_roc_has_the_stored_auc_as_its_area(run: Run) -> None:
    for curve in data("roc", run).curves:
        assert np.trapezoid(curve.sensitivity, curve.false_positive) == pytest.approx(curve.auc), curve.label


def test_budget_counts_pruned_and_failed_trials_as_cost(run: Run) -> None:
    found = data("budget", run)
    assert set(found.curves) == {"trials", "minutes"}
    assert found.curves["trials"].budget[-1] == 12
    assert found.curves["trials"].observed[-1] == run.ranked["value"].iloc[0]


def test_parallel_axes_end_with_the_value_and_leave_gaps(run: Run) -> None:
    found = data("parallel", run)
    axes = found.axes
    assert [axis.name for axis in axes] == ["lr", "backbone", "fusion", "signed", "mAP, validation"]
    assert np.isnan(axes[3].place).any()
    assert axes[-1].place[0] == 1
    assert list(found.rank) == sorted(found.rank, reverse=True)


def test_the_k_curve_rings_the_setting_chosen_on_validation(run: Run) -> None:
    found = data("neighbours", run)
    best = found.rows.loc[found.rows["value"].idxmax()]
    k, way = split_setting(found.chosen)
    chosen = found.rows[(found.rows["k"] == k) & (found.rows["way"] == way)]["value"].item()
    assert chosen == best["value"]
    assert found.rows["k"].nunique() == 50
    assert found.test == run.score(str(run.best), run.objective, head="knn")


def test_importance_needs_ten_complete_trials(run: Run) -> None:
    assert len(run.ranked) < 10
    assert data("importance", run) is None


def test_importance_is_drawn_from_complete_trials_beside_a_parameter_without_effect(tmp_path: Path) -> None:
    run = load_run(str(fake_run(tmp_path / "long", num_search=20)))
    found = data("importance", run)
    assert found.num_trials == len(run.ranked) >= 10
    assert {"lr", "backbone", "fusion", DUMMY} <= set(found.rows["name"])
    drawing = draw("importance", run)
    assert drawing is not None
    assert f"From {found.num_trials} complete trials" in drawing.caption


@pytest.mark.parametrize("loss", ["train_loss", "val_loss"])
def test_variant_curves_average_the_seeds_where_all_of_them_were_trained(run: Run, loss: str) -> None:
    keys = [f"ablation-dmsnet_table3-osim-s{seed}" for seed in (0, 1)]
    ended = run.epochs[(run.epochs["trial"] != keys[1]) | (run.epochs["epoch"] <= 3)].copy()
    ended.loc[ended["trial"] == keys[1], loss] += 0.5
    found = data("variant_curves", replace(run, epochs=ended))
    assert set(found.panels) == {"dmsnet_table3", "sizes"}
    one, other = (ended[ended["trial"] == key].set_index("epoch")[loss] for key in keys)
    expected = {epoch: (one[epoch] + other[epoch]) / 2 for epoch in (1, 2, 3)}
    assert found.panels["dmsnet_table3"]["osim"][loss].to_dict() == pytest.approx(expected)


def test_variant_curves_are_labelled_and_say_where_losses_are_unlike(run: Run) -> None:
    component = components.load("figure", "variant_curves")()
    found = component.data(run)
    axes = component.draw(found).axes
    assert [one.get_ylabel() for one in axes] == ["training loss", "validation loss"] * 2
    drawn = axes[0].lines[0].get_ydata()
    assert list(drawn) == list(found.panels["dmsnet_table3"]["osim"]["train_loss"])
    assert "different losses" not in component.caption(found)
    focal = {"name": "focal", "gamma": 2.0}  # as records hold it
    specs = pd.Series({key: {"loss": "bce" if "osim" in key else focal} for key in run.trials.index})
    unlike = component.data(replace(run, trials=run.trials.assign(spec=specs)))
    assert "The variants of dmsnet_table3 minimise different losses" in component.caption(unlike)


def test_the_distribution_counts_each_label_in_each_split(run: Run) -> None:
    component = components.load("figure", "distribution")()
    found = component.data(run)
    counts = run.study["split_counts"]
    assert (found.labels, found.samples) == (run.labels, 150)
    assert found.counts["test"][1] == counts["test"]["D"]
    assert found.totals[1] == sum(split["D"] for split in counts.values())
    left, right = component.draw(found).axes
    assert left.patches[1].get_width() == pytest.approx(100 * found.totals[1] / 150)
    assert [bars[1].get_width() for bars in right.containers] == [split["D"] for split in counts.values()]
    assert component.data(replace(run, study={**run.study, "split_counts": {}})) is None


def test_label_bars_are_the_stored_scores_with_the_labels_share(run: Run) -> None:
    found = data("labels", run)
    middle, low, high = found.auc[:, 1]
    assert middle == run.score(str(run.best), "auc", label="D")
    assert low < middle < high
    assert found.prevalence[1] == pytest.approx(run.study["split_counts"]["test"]["D"] / 50)


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("k=5, cosine, uniform", (5, "cosine, uniform")),
        ("k=12", (12, "")),
        ("", (0, "")),
        ("C=1", (0, "C=1")),
    ],
)
def test_a_setting_splits_into_k_and_the_way(setting: str, parts: tuple[int, str]) -> None:
    assert split_setting(setting) == parts


def test_the_ablation_of_a_table_that_asks_for_it_is_drawn_together_else_the_first(retina: Run) -> None:
    assert compared_variants(retina)[0] == "dmsnet_table3"
    renamed = replace(retina, trials=retina.trials.replace({"table": {"sizes": "svkma_table8"}}))
    ablation, variants = compared_variants(renamed)
    assert ablation == "svkma_table8"
    assert list(variants) == ["small", "large"]


def test_variants_are_drawn_beside_each_other(retina: Run, run: Run) -> None:
    confusion, roc = data("variant_confusion", retina), data("variant_roc", retina)
    assert confusion.ablation == roc.ablation == "dmsnet_table3"
    assert list(confusion.panels) == list(roc.curves) == list(TABLE3)
    counts = sum(
        (found.target > 0).T.astype(int) @ np.eye(5, dtype=int)[found.score.argmax(axis=1)]
        for seed in (0, 1)
        if (found := retina.predictions(f"ablation-dmsnet_table3-aspp-s{seed}")) is not None
    )
    np.testing.assert_array_equal(confusion.panels["aspp"], counts)
    false_positive, sensitivity = roc.curves["osim"]
    assert (false_positive[0], sensitivity[0], false_positive[-1], sensitivity[-1]) == (0, 0, 1, 1)
    assert data("variant_confusion", run) is data("variant_roc", run) is None
    assert draw("variant_confusion", retina) is not None
    assert draw("variant_roc", retina) is not None
