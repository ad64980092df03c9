"""The two strongest parameters of a search together, or why they cannot be shown."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from study.reporting.assembly import build_report, files
from study.reporting.figure import draw
from study.reporting.interaction import interaction_of, interaction_sentence
from study.reporting.run import Run, load_run
from tests.reporting.fake_run import BACKBONES, FUSIONS, FakeRun

VALUES = {pair: 0.4 + 0.1 * i for i, pair in enumerate(product(BACKBONES, FUSIONS))}


def search(folder: Path, num_of_last: int = 3) -> Run:
    """Three trials of every pair but the last one, whose number is given; the learning rate has no say."""
    fake = FakeRun(folder, patients=20)
    fake.study()
    pairs = [pair for pair in VALUES for _ in range(3)]
    for i, (backbone, fusion) in enumerate(pairs[: len(pairs) - 3 + num_of_last]):
        params = {"optimiser.lr": 1e-3, "model.backbone": backbone, "model.fusion": fusion}
        if fusion == "gated":
            params["model.fusion.gated.dim"] = 64 + i
        key, value = f"search-{i:05d}", VALUES[backbone, fusion] + 0.01 * (i % 3)
        fake.trial(key, fake.predictions(key, 1.0), number=i, params=json.dumps(params), value=value)
    return load_run(str(folder))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return search(tmp_path_factory.mktemp("runs") / "whole")


def test_each_pair_has_its_mean_its_spread_and_its_trials(whole: Run) -> None:
    found = interaction_of(whole)
    assert found is not None
    by_name = dict(zip(found.names, found.options, strict=True))
    assert {name: set(options) for name, options in by_name.items()} == {
        "backbone": set(BACKBONES),
        "fusion": set(FUSIONS),
    }
    assert (found.num_trials == 3).all()
    backbones_first = found.names[0] == "backbone"
    for (row, column), mean in np.ndenumerate(found.mean):
        pair = found.options[0][row], found.options[1][column]
        assert mean == pytest.approx(VALUES[pair if backbones_first else pair[::-1]] + 0.01)
    np.testing.assert_allclose(found.spread, 0.01)


def test_the_page_shows_the_pairs_as_the_search_s(whole: Run) -> None:
    drawing = draw("interaction", whole)
    assert drawing is not None
    assert drawing.caption.startswith("From the search, no paired test")
    assert "3 trials" in drawing.svg
    assert interaction_sentence(whole) == ""


def test_a_pair_with_too_few_trials_gives_a_sentence_in_place_of_the_figure(tmp_path: Path) -> None:
    run = search(tmp_path / "run", num_of_last=2)
    assert draw("interaction", run) is None
    sentence = interaction_sentence(run)
    assert "1 of the 9 pairs of their options has fewer than 3 complete trials" in sentence
    page = files(build_report(run))["index.html"].decode()
    assert "depend on each other cannot be said" in page


def test_a_short_search_says_nothing_of_pairs(run: Run) -> None:
    assert interaction_of(run) is None
    assert interaction_sentence(run) == ""
