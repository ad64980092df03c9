"""Each row of DMS-Net's tables is the paper's network but for what the row names."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from study.engine.training.network import build_network, without_weights
from study.spec.resolve import resolve
from study.spec.study_file import StudySpec
from study.spec.trial_spec import TrialSpec

ROOT = Path(__file__).parents[2]
BACKBONE, CONTEXT, FUSION = "model.backbone", "model.context", "model.fusion"
# What the row changes in the paper's network, and which of its arguments.
CHANGES: dict[tuple[str, str], dict[str, dict[str, object]]] = {
    ("dmsnet_table1", "resnet152"): {},
    ("dmsnet_table1", "vit"): {BACKBONE: {"name": "vit_b_16"}},
    ("dmsnet_table1", "resnext"): {BACKBONE: {"name": "resnext50_32x4d"}},
    ("dmsnet_table1", "resnet50"): {BACKBONE: {"name": "resnet50"}},
    ("dmsnet_table1", "resnet101"): {BACKBONE: {"name": "resnet101"}},
    ("dmsnet_table2", "full"): {},
    ("dmsnet_table2", "no_cafm"): {FUSION: {"cafm": "none"}},
    ("dmsnet_table2", "no_ciam"): {FUSION: {"ciam": False}},
    ("dmsnet_table2", "no_ccam"): {FUSION: {"ccam": False}},
    ("dmsnet_table2", "no_casfm"): {FUSION: {"casfm": False}},
    ("dmsnet_table2", "no_osim_left"): {CONTEXT: {"name": "osim_per_eye", "eyes": "right"}},
    ("dmsnet_table2", "no_osim_right"): {CONTEXT: {"name": "osim_per_eye", "eyes": "left"}},
    ("dmsnet_table2", "no_osim"): {CONTEXT: {"name": "osim_per_eye", "eyes": "neither", "share": True}},
    ("dmsnet_table3", "osim"): {},
    ("dmsnet_table3", "aspp"): {CONTEXT: {"name": "aspp"}},
    ("dmsnet_table3", "sppf"): {CONTEXT: {"name": "sppf"}},
    ("dmsnet_table3", "spp"): {CONTEXT: {"name": "spp"}},
    ("dmsnet_table3", "simsppf"): {CONTEXT: {"name": "simsppf"}},
    ("dmsnet_table3", "rfb"): {CONTEXT: {"name": "rfb"}},
    ("dmsnet_table3", "none"): {CONTEXT: {"name": "none"}},
}


@cache
def study() -> StudySpec:
    return resolve(ROOT / "search_spaces" / "dmsnet.yaml", {}, "full", has_gpu=True).spec


def row(table: str, variant: str) -> TrialSpec:
    return study().variant(table, variant, 0, {})


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """The values of nested mappings by their dotted keys."""
    if not isinstance(value, dict) or not value:
        return {path: value}
    return {k: v for key, part in value.items() for k, v in flat(part, f"{path}.{key}".lstrip(".")).items()}


def sizes(spec: TrialSpec) -> dict[str, int]:
    """Number of parameters of each part of the network."""
    with torch.device("meta"):
        net = build_network(without_weights(spec), 8, 2)
    return {name: sum(p.numel() for p in part.parameters()) for name, part in net.named_children()}


def test_every_row_of_the_study_file_is_looked_at() -> None:
    assert set(CHANGES) == {(t, v) for t, table in study().ablations.items() for v in table.variants}


def test_the_paper_is_what_its_text_says() -> None:
    paper = row("dmsnet_table2", "full")
    assert paper.model.backbone.name == "resnet152"
    assert paper.model.attention.name == "none"
    assert (paper.model.context.name, paper.model.fusion.name) == ("osim", "dual_synergy")
    assert paper.data.illumination.name == "clahe_lab"
    assert (paper.data.augmentation.cutmix.kind, paper.data.augmentation.cutmix.box) == (
        "same_label",
        "shared",
    )


@pytest.mark.parametrize(("table", "variant"), CHANGES)
def test_a_row_changes_only_the_part_that_it_names(table: str, variant: str) -> None:
    paper, found = flat(row("dmsnet_table2", "full").dump()), flat(row(table, variant).dump())
    different = {key for key in paper.keys() | found.keys() if paper.get(key) != found.get(key)}
    changes = CHANGES[table, variant]
    assert all(key.startswith(tuple(changes)) for key in different) if changes else not different
    for part, arguments in changes.items():
        for argument, value in arguments.items():
            # A component without arguments is dumped as its name alone.
            assert found.get(f"{part}.{argument}", found.get(part)) == value, (part, argument)


@pytest.mark.parametrize(("table", "variant"), [key for key, change in CHANGES.items() if change])
def test_no_other_part_of_the_network_changes_its_size(table: str, variant: str) -> None:
    paper, found = sizes(row("dmsnet_table2", "full")), sizes(row(table, variant))
    different = {part for part in paper if paper[part] != found[part]}
    (changed,) = (part.removeprefix("model.") for part in CHANGES[table, variant])
    behind = ["backbone", "context", "attention", "fusion", "head"]
    allowed = {changed, "head"} if changed == "fusion" else {changed}
    if changed == "backbone" or variant == "none":  # another number of channels reaches the parts behind
        allowed = set(behind[behind.index(changed) :])
    assert changed in different or found[changed] == paper[changed] == 0
    assert different <= allowed


def test_a_module_that_is_left_out_takes_its_parameters_along() -> None:
    paper = sizes(row("dmsnet_table2", "full"))
    for variant in ("no_cafm", "no_ciam", "no_ccam", "no_casfm"):
        assert sizes(row("dmsnet_table2", variant))["fusion"] < paper["fusion"], variant
    reducer = 2048 * 1024 + 2 * 1024  # a 1x1 convolution without offset, and its batch norm
    assert sizes(row("dmsnet_table2", "no_osim"))["context"] == reducer
    assert sizes(row("dmsnet_table2", "no_osim_left"))["context"] == paper["context"] + reducer
    assert sizes(row("dmsnet_table2", "no_osim_right"))["context"] == paper["context"] + reducer
