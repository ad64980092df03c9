"""What a person sees: one line that fits, names that cannot be taken for each other."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from study.engine.search.console import Live
from study.engine.search.plan import TrialResult
from study.evidence.records import Role, State
from study.evidence.store import Store
from study.spec.wording import changes_text, configuration_text, shortest_names
from tests.engine.fake_study import conduct, epoch_of


@pytest.mark.parametrize(("width", "there"), [(60, False), (80, False), (160, True)])
def test_the_live_line_fits_whole(tmp_path: Path, width: int, there: bool) -> None:
    conductor = conduct(Store(tmp_path / "a"), **{"search.trials": 1000})
    live = Live(
        Console(file=io.StringIO(), width=width, force_terminal=True),
        conductor.plan,
        "macro_average_precision",
    )
    for state in State:
        result = TrialResult(Role.SEARCH, state, 0.5)
        conductor.plan.finished |= {f"search-{n:05d}-{state}": result for n in range(120)}
    live.began -= 3600
    order = conductor.next()
    assert order is not None
    live.started(order)
    live.epoch(order, epoch_of(order.key, 12, 0.5))
    line = live.line()
    assert len(line.plain) <= width
    assert line.plain.startswith("360/1001 done")
    assert "best" in line.plain
    assert line.plain.rstrip(")").endswith("left") != there
    assert ("macro_average_precision" in line.plain) == there
    assert ("search-00000 epoch 12" in line.plain) == there


def test_a_collapsed_trial_says_so_beside_its_configuration(tmp_path: Path) -> None:
    conductor = conduct(Store(tmp_path / "a"))
    shown = io.StringIO()
    live = Live(Console(file=shown, width=160), conductor.plan, "macro_average_precision")
    order = conductor.next()
    assert order is not None
    live.ended(order, State.COMPLETE, [0.1], "collapsed: not better than the class prior", [])
    line = shown.getvalue()
    assert "complete" in line
    assert "collapsed: not better than the class prior, attention none, lr " in line


def test_names_are_as_long_as_they_must_be() -> None:
    keys = ["optimiser.lr", "model.context.osim.kernel", "model.context.spp.kernel", "loss"]
    assert list(shortest_names(keys).values()) == ["lr", "osim.kernel", "spp.kernel", "loss"]
    params = {"optimiser.lr": 0.00123456, "loss": "bce"}
    assert configuration_text(params, shortest_names(keys)) == "lr 0.00123, loss bce"


def test_a_profile_names_each_section_once() -> None:
    changes = {
        "training.epochs": 12,
        "training.seed": 0,
        "model.backbone": {"type": "categorical", "choices": ["tiny", "squeezenet1_1"]},
        "ablations.dmsnet_table1": None,
        "ablations.dmsnet_table3.seeds": [0],
    }
    assert changes_text(changes) == (
        "training: epochs 12, seed 0; model: backbone one of tiny, squeezenet1_1; "
        "ablations: dmsnet_table1 left out, dmsnet_table3.seeds 0"
    )


def test_tables_and_choices_of_a_profile_go_by_their_names() -> None:
    changes = {
        "bundles.attention": {
            "type": "categorical",
            "choices": [{"name": "none", "model.attention": "none"}, {"name": "ram"}],
        },
        "ablations.svkma_figure16": {"variants": {"svk": {"model.attention": "none"}, "svk_ma": {}}},
    }
    assert changes_text(changes) == (
        "bundles: attention one of none, ram; ablations: svkma_figure16 the variants svk, svk_ma"
    )
