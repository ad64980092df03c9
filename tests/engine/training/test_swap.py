"""How much a finished trial minds which eye is which."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from study.engine.orders.trial_order import TrialOrder
from study.engine.training.session import TrainingSession
from study.evidence.store import Store
from study.spec.trial_spec import TrialSpec
from tests.engine.one_trial import order_of, train_whole

CPU = torch.device("cpu")
SPEC: dict[str, Any] = {
    "data": {"dataset": "odir5k", "phantom_patients": 120, "image_px": 32},
    "model": {"backbone": "tiny"},
    "training": {"epochs": 1, "batch_size": 16, "warmup_epochs": 0},
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def stored(folder: Path, cache: Path, order: TrialOrder) -> pd.DataFrame:
    """The swap rows of a trial."""
    train_whole(order, folder / "run", cache)
    return Store(folder / "run").read("scores", filters={"metric": "swap_change"})


def order(**changes: Any) -> TrialOrder:
    return order_of(TrialSpec.read({**SPEC, **changes}), trains=False)


@pytest.mark.parametrize("align", ["none", "flip_right"])
def test_the_mean_change_of_a_probability_is_stored(tmp_path: Path, cache: Path, align: str) -> None:
    aligned = order(data={**SPEC["data"], "align": align})
    rows = stored(tmp_path, cache, aligned)
    assert rows[["head", "split", "decision", "label", "chosen"]].values.tolist() == [
        ["network", "test", "none", "", True]
    ]
    session = TrainingSession.from_spec(aligned.trial_spec(), cache, CPU)
    net, changes = session.net.eval(), []
    mean, std = (torch.tensor(v)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    for row in session.cohort.rows("test"):
        left, right = (
            (torch.from_numpy(session.cohort.cache.images[i].copy()).permute(2, 0, 1) / 255 - mean) / std
            for i in session.cohort.cache.index[row]
        )
        pairs = torch.stack([torch.stack([left, right]), torch.stack([right.flip(2), left.flip(2)])])
        if align == "flip_right":
            pairs[:, 1] = pairs[:, 1].flip(3)
        with torch.no_grad():
            scores = net.head.scores(net(pairs).logits)
        changes.append((scores[0] - scores[1]).abs().mean().item())
    assert rows["value"].item() == pytest.approx(sum(changes) / len(changes), rel=1e-3)
    assert rows["value"].item() > 0


def test_nothing_changes_for_a_symmetric_fusion_of_aligned_eyes(tmp_path: Path, cache: Path) -> None:
    symmetric = order(
        data={**SPEC["data"], "align": "flip_right"}, model={"backbone": "tiny", "fusion": "difference"}
    )
    assert stored(tmp_path, cache, symmetric)["value"].item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": {"name": "contrastive", "margin": 1.0}},
        {
            "data": {**SPEC["data"], "dataset": "folders"},
            "model": {"backbone": "tiny", "head": "softmax"},
            "loss": "cross_entropy",
        },
    ],
    ids=["no head was trained", "single images"],
)
def test_no_value_where_there_is_nothing_to_exchange_or_to_judge(
    tmp_path: Path, cache: Path, changes: dict[str, Any]
) -> None:
    assert stored(tmp_path, cache, order(**changes)).empty
