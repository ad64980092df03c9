"""The nodes that a cluster's autoscaler may start."""

from pathlib import Path

import yaml

from study.engine.cluster.nodes import promised_nodes
from study.engine.forecast.capacity import Node


def test_nodes_to_come_are_read_from_the_file_that_ray_up_leaves(tmp_path: Path) -> None:
    file = tmp_path / "ray_bootstrap_config.yaml"
    assert promised_nodes(file) == []
    kinds = {
        "head": {"resources": {"CPU": 0}},
        "gpu": {"resources": {"CPU": 4, "GPU": 1, "memory": 10**9}, "max_workers": 20},
        "unknown": {"resources": {}, "max_workers": 2},
    }
    file.write_text(
        yaml.safe_dump({"available_node_types": kinds, "head_node_type": "head", "max_workers": 8})
    )
    assert promised_nodes(file) == [Node(4, 1, 8)]
    file.write_text("!!python/object/apply:os.system [exit]")
    assert promised_nodes(file) == []
