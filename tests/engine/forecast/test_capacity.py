"""How many trials fit on nodes, and what each of them gets."""

from typing import Any

import pytest

from study.engine.forecast.capacity import Node, arrange, trials_on
from study.spec.errors import ClusterError
from study.spec.resources import ResourcesSpec


@pytest.mark.parametrize(
    ("nodes", "workers", "cpus", "gpus", "trials"),
    [
        ([Node(8, 0)], 1, 1, 0, 8),
        ([Node(1, 0), Node(1, 0)], 1, 2, 0, 0),  # a worker does not stretch over two nodes
        ([Node(1, 0), Node(1, 0)], 2, 1, 0, 1),  # a trial may
        ([Node(8, 2)], 1, 2, 1, 2),
        ([Node(8, 2)], 1, 2, 0.5, 4),
        ([Node(16, 1)], 1, 1, 0.3333, 3),
        ([Node(4, 1, count=8), Node(0, 0)], 1, 4, 1, 8),
        ([Node(2, 0)], 1, 0.2, 0, 10),
    ],
)
def test_trials_on_nodes(nodes: list[Node], workers: int, cpus: float, gpus: float, trials: int) -> None:
    assert trials_on(nodes, workers, cpus, gpus) == trials


@pytest.mark.parametrize(
    ("asked", "nodes", "share", "cpus", "gpus", "concurrent"),
    [
        ({}, [Node(4, 0)], 1.0, 1.0, 0.0, 4),
        ({}, [Node(16, 2)], 1.0, 8.0, 1.0, 2),
        ({}, [Node(16, 2)], 0.25, 2.0, 0.25, 8),
        ({"gpus_per_worker": 0}, [Node(16, 2)], 0.25, 1.0, 0.0, 16),
        ({"gpus_per_worker": 0.5}, [Node(16, 2)], 1.0, 4.0, 0.5, 4),
        ({"concurrent": 3}, [Node(16, 0)], 1.0, 1.0, 0.0, 3),
        ({"workers": 2}, [Node(4, 2)], 1.0, 1.9, 1.0, 1),
        ({}, [Node(64, 8), Node(4, 1)], 1.0, 4.0, 1.0, 9),
    ],
)
def test_what_a_trial_gets(
    asked: dict[str, Any], nodes: list[Node], share: float, cpus: float, gpus: float, concurrent: int
) -> None:
    slots = arrange(ResourcesSpec(**asked), nodes, share)
    assert slots.cpus_per_worker == pytest.approx(cpus)
    assert (slots.gpus_per_worker, slots.concurrent) == (gpus, concurrent)


def test_a_trial_that_fits_on_no_node_is_refused_with_what_there_is() -> None:
    with pytest.raises(
        ClusterError,
        match="one trial of 1 workers with 8 CPUs and 0 GPUs each, got nodes with 4 CPUs and 0 GPUs",
    ):
        arrange(ResourcesSpec(cpus_per_worker=8), [Node(4, 0), Node(4, 0)])
