"""A trial on other patients: every number has its interval, beside the study's own."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from study.evidence.decisions import decide
from study.evidence.external_test import external_test
from study.evidence.metrics import metric_values
from study.evidence.predictions import Predictions
from tests.evidence.fakes import LABELS, fake_predictions

THRESHOLDS = np.array([0.3, 0.5, 0.6])


def rows_of(new: Predictions, own: Predictions | None) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows by metric and label."""
    found = external_test(new, own, "multilabel", LABELS, THRESHOLDS)
    rows: list[dict[str, Any]] = found.to_dict("records")  # type: ignore[assignment]
    return {(row["metric"], row["label"]): row for row in rows}


def test_numbers_are_those_of_the_metrics_and_lie_in_their_intervals() -> None:
    new, own = fake_predictions(split="test", num_samples=120), fake_predictions(split="test", num_samples=90)
    found = rows_of(new, own)
    for predictions, before in ((new, ""), (own, "test_")):
        known = predictions.known()
        decision = decide(known.score, "multilabel", THRESHOLDS)
        values = metric_values("multilabel", known.target, known.score, decision)
        assert found["odir_kappa", ""][f"{before}value"] == pytest.approx(values["odir_kappa"][0])
        for place, label in enumerate(LABELS):
            row = found["auc", label]
            assert row[f"{before}value"] == pytest.approx(values["auc"][place])
            assert row[f"{before}low"] <= row[f"{before}value"] <= row[f"{before}high"]
            prevalence = (known.target[:, place] > 0).mean()
            assert found["prevalence", label][f"{before}value"] == pytest.approx(prevalence)


def test_scores_that_all_moved_show_as_drift_and_not_as_another_ranking() -> None:
    own = fake_predictions(split="test", num_samples=100)
    found = rows_of(replace(own, score=0.5 + own.score / 2), own)
    for label in LABELS:
        auc, mean, error = (found[name, label] for name in ("auc", "mean_score", "calibration_error"))
        assert auc["value"] == pytest.approx(auc["test_value"])
        assert mean["value"] == pytest.approx(0.5 + mean["test_value"] / 2)
        assert error["value"] != pytest.approx(error["test_value"])


def test_without_predictions_of_the_study_its_columns_are_empty() -> None:
    new = fake_predictions(split="test", num_samples=60)
    found = external_test(new, None, "multilabel", LABELS, THRESHOLDS)
    assert found.filter(like="test_").isna().all(axis=None)
    assert found["value"].notna().any()


def test_with_mirror_images_the_numbers_without_them_stand_beside() -> None:
    new = fake_predictions(split="test", num_samples=60)
    plain = replace(new, score=1 - new.score)
    auc = external_test(new, None, "multilabel", LABELS, THRESHOLDS, plain).query("metric == 'auc'")
    np.testing.assert_allclose(auc["plain_value"], 1 - auc["value"])
    without = external_test(new, None, "multilabel", LABELS, THRESHOLDS)
    assert not set(without) & {"plain_value", "plain_low", "plain_high"}
