"""The ensemble of a run, applied again, says what its record says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from study.data.cohort import open_cohort
from study.engine.applying.ensemble import chosen_ensemble, predict_by_members
from study.engine.search import ensembling
from study.engine.search.ensembling import publish_ensemble
from study.engine.training.judge import judge_of
from study.evidence.store import Store
from study.spec.errors import SpecError
from study.spec.trial_spec import TrialSpec
from tests.engine.one_trial import order_of, site_of, train_whole

MEMBERS = {"search-00000": 0.75, "search-00001": 0.25}


def spec_of(seed: int) -> TrialSpec:
    return TrialSpec.read(
        {
            "data": {"dataset": "odir5k", "phantom_patients": 60, "image_px": 32},
            "model": {"backbone": "tiny"},
            "training": {"epochs": 1, "batch_size": 8, "seed": seed},
        }
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run with two trials and their ensemble, and its image cache."""
    folder, cache = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("cache")
    for number, key in enumerate(MEMBERS):
        train_whole(order_of(spec_of(number), key, number=number), folder, cache)
    spec, cohort = spec_of(0), open_cohort(spec_of(0).data, cache)
    judge = judge_of(spec, cohort.pairs.kind, trains_head=True)

    def chosen(*_: Any) -> tuple[dict[str, float], float]:
        return MEMBERS, 0.5

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensembling, "select_members", chosen)
        site = site_of(folder, cache, cohort)
        assert publish_ensemble(Store(folder), site, spec, judge, cohort.pairs.labels) == "ensemble-00002"
    return folder, cache


def test_the_members_together_say_what_the_record_says(trained: tuple[Path, Path]) -> None:
    store, cache = Store(trained[0]), trained[1]
    ensemble, members = chosen_ensemble(store)
    assert members == MEMBERS
    cohort = open_cohort(spec_of(0).data, cache)
    again, pairs = predict_by_members(store, ensemble, members, cohort.pairs, cache)
    stored = store.read("predictions", [ensemble.key], filters={"split": "test"}).set_index("sample")
    by_name = dict(zip(pairs.table["sample"], again.score, strict=True))
    assert len(stored) > 5
    for sample, score in stored["score"].items():
        assert by_name[sample] == pytest.approx(np.asarray(score), abs=1e-5)


def test_a_member_without_weights_is_named(trained: tuple[Path, Path], tmp_path: Path) -> None:
    store = Store(trained[0])
    store.delete_weights("search-00001")
    with pytest.raises(
        SpecError, match=r"`--ensemble`: every member.*none of search-00001\..*`keep_weights`"
    ):
        chosen_ensemble(store)
    with pytest.raises(SpecError, match=r"`--ensemble`: .* must have an ensemble, got none"):
        chosen_ensemble(Store(tmp_path))
