"""The channels of a frozen backbone's map can be replaced by their principal components."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from study.data.cohort import open_cohort
from study.engine.applying.apply import chosen_trial, predict, stored_network
from study.engine.applying.gradcam import evidence_of, grad_cam
from study.engine.training.checks import check_fits
from study.engine.training.principal import MOST_SAMPLES, spread
from study.engine.training.session import TrainingSession
from study.evidence.store import Store
from study.spec.errors import SpecError
from study.spec.trial_spec import TrialSpec
from tests.engine.one_trial import order_of, train_whole

CPU = torch.device("cpu")
STILL: dict[str, float] = {"rotate_deg": 0, "scale": 0, "brightness": 0, "contrast": 0, "saturation": 0}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tmp_path_factory.mktemp("cache")


def spec_of(backbone: dict[str, Any], still: Mapping[str, float] = STILL, **model: str) -> TrialSpec:
    data = {"dataset": "odir5k", "phantom_patients": 60, "image_px": 32, "augmentation": still}
    network = {"backbone": {"name": "tiny", "freeze": "all", "reduce": 8, **backbone}, **model}
    return TrialSpec.read(
        {
            "data": data,
            "model": network,
            "training": {"epochs": 2, "batch_size": 8},
            "optimiser": {"lr": 1e-3},
        }
    )


@pytest.mark.parametrize(
    ("backbone", "still"),
    [({}, STILL), ({}, {**STILL, "rotate_deg": 5}), ({"whiten": True}, STILL)],
    ids=["from features", "from images", "whitened"],
)
def test_components_are_those_of_the_training_split(
    backbone: dict[str, Any], still: dict[str, float], cache: Path
) -> None:
    session = TrainingSession.from_spec(spec_of(backbone, still), cache, CPU)
    assert (session.features is None) == (still["rotate_deg"] > 0)
    components = session.net.backbone.components
    assert components is not None
    plain = session._plain_images(session.cohort.cache, session.cohort.rows("train"))
    images = torch.cat([batch.images for batch in plain])
    with torch.no_grad():
        maps = session.net.frozen_maps(images).flatten(0, 2)
        projected = components(maps).movedim(1, -1).flatten(0, 2).numpy()
    x = maps.movedim(1, -1).flatten(0, 2).double().numpy()
    expected = PCA(8, whiten="whiten" in backbone).fit(x).transform(x)
    expected *= np.sign((expected * projected).sum(0))  # a component may point either way
    np.testing.assert_allclose(projected, expected, rtol=1e-2, atol=1e-2 * np.abs(expected).max())
    assert session.net.context.out_channels == 8
    assert not any(parameter.requires_grad for parameter in components.parameters())


def test_a_trial_keeps_its_components_and_is_used_again(tmp_path: Path, cache: Path) -> None:
    spec = spec_of({}, fusion="casfm")
    train_whole(order_of(spec), tmp_path, cache)
    store, session = Store(tmp_path), TrainingSession.from_spec(spec, cache, CPU)
    net = stored_network(store, "search-00000", spec, 8, 2)
    assert net.backbone.components is not None
    assert session.net.backbone.components is not None
    torch.testing.assert_close(net.backbone.components.weight, session.net.backbone.components.weight)
    again, _, pairs = predict(store, chosen_trial(store, None), session.cohort.pairs, cache)
    stored = store.read("predictions", filters={"head": "network", "split": "test"}).set_index("sample")
    by_name = dict(zip(pairs.table["sample"], again.score, strict=True))
    assert len(stored) > 5
    for sample, score in stored["score"].items():
        assert by_name[sample] == pytest.approx(np.asarray(score), abs=1e-3)
    cams = grad_cam(net.eval(), torch.randn(2, 2, 3, 32, 32), evidence_of(net))
    assert cams.shape == (2, 8, 2, 2, 2)


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ({"freeze": 3}, "needs a backbone that is frozen whole"),
        ({"reduce": 97}, "must lie between 1 and the 96 channels of the map, got 97"),
    ],
)
def test_components_that_cannot_be_had_are_refused(
    backbone: dict[str, Any], message: str, cache: Path
) -> None:
    spec = spec_of(backbone)
    with pytest.raises(SpecError, match=message):
        check_fits(spec, open_cohort(spec.data, cache).pairs)
    with pytest.raises(SpecError, match=message):
        TrainingSession.from_spec(spec, cache, CPU)


def test_a_large_split_gives_some_samples_evenly_spread() -> None:
    assert spread(np.arange(7)).tolist() == list(range(7))
    chosen = spread(np.arange(4 * MOST_SAMPLES))
    assert len(chosen) == MOST_SAMPLES
    assert set(np.diff(chosen)) <= {4, 5}
