"""The average precision loss against its formula, recomputed bin by bin, and against scikit-learn."""

from collections.abc import Sequence

import pytest
import torch
from sklearn.metrics import average_precision_score

from models.losses.average_precision import AveragePrecision
from models.output import Output
from tests.models.test_loss_formulas import CLASSES, FUSED, LOGITS, TARGETS, N, P


def binned_average_precision(i: int, others: list[int], bins: int) -> float:
    """Σ_m P_m·Δr_m of sample i, bin by bin."""
    width = 2 / (bins - 1)
    total = hits = seen = 0.0
    for m in range(bins):
        centre = 1 - m * width
        shares = {j: max(1 - abs(float(FUSED[i] @ FUSED[j]) - centre) / width, 0) for j in others}
        gain = sum(share for j, share in shares.items() if CLASSES[j] == CLASSES[i])
        hits, seen = hits + gain, seen + sum(shares.values())
        total += hits / seen * gain if seen else 0
    return total / sum(bool(CLASSES[j] == CLASSES[i]) for j in others)


@pytest.mark.parametrize("bins", [2, 5, 25])
@pytest.mark.parametrize(
    ("samples", "with_match"),
    [(range(N), range(N)), ((0, 1, 2, 3), (0, 2))],
    ids=["all", "two without a match"],
)
def test_average_precision_over_bins(bins: int, samples: Sequence[int], with_match: Sequence[int]) -> None:
    values = [binned_average_precision(i, [j for j in samples if j != i], bins) for i in with_match]
    rows = list(samples)
    found = AveragePrecision(P, bins=bins)(
        Output(LOGITS[rows], FUSED[rows], FUSED[rows, None]), TARGETS[rows]
    )
    assert float(found) == pytest.approx(1 - sum(values) / len(values), rel=1e-4)


def test_average_precision_is_that_of_the_ranking_where_similarities_lie_at_the_centres() -> None:
    x = torch.tensor([[1, 0], [1, 0], [0, 1], [-1, 0], [0, -1], [1, 0], [0, 1], [-1, 0]]).float()
    match = CLASSES[:, None] == CLASSES
    values = [
        average_precision_score(match[i][others], (x @ x[i])[others])
        for i, others in enumerate(~torch.eye(N, dtype=torch.bool))
    ]
    found = AveragePrecision(P, bins=3)(Output(LOGITS, x, x[:, None]), TARGETS)
    assert float(found) == pytest.approx(1 - sum(values) / N, rel=1e-5)
