import numpy as np
import pytest

from study.evidence.metrics import metric_value, metrics_of
from study.evidence.sweep import values_of_settings
from study.spec.task import LabelKind
from tests.evidence.fakes import targets


@pytest.mark.parametrize("kind", ["multilabel", "classes", "grades"])
@pytest.mark.parametrize("num_samples", [7, 40, 2000])
def test_many_settings_have_the_values_that_each_has_alone(kind: LabelKind, num_samples: int) -> None:
    rng = np.random.default_rng(0)
    target = targets(kind, num_samples, 5, rng)
    scores = np.round(rng.random((20, num_samples, 5)), 2).astype(np.float32)  # rounded, so that many tie
    scores[3, 0, 0] = np.nan
    for name, metric in metrics_of(kind).items():
        if not metric.per_label:
            alone = [metric_value(name, kind, target, score, "f1") for score in scores]
            together = values_of_settings(name, kind, target, scores, "f1")
            np.testing.assert_array_equal(together, alone, err_msg=name)
