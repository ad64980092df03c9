"""Each row of SVK_MA's tables is the paper's network but for what the row names, in both profiles."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from study.engine.training.network import build_network, without_weights
from study.reporting.papers import published
from study.spec.holes import Scalar
from study.spec.resolve import resolve
from study.spec.study_file import StudySpec
from study.spec.trial_spec import TrialSpec

ROOT = Path(__file__).parents[2]
BACKBONE, ATTENTION, L2NORM, LOSS = "model.backbone", "model.attention", "model.embedding.l2norm", "loss"
AUGMENTATION, GENERATED = "data.augmentation", "data.generated"
CLASSIFIER: dict[str, object] = {ATTENTION: "none", L2NORM: False, LOSS: "cross_entropy"}
Changes = dict[str, object]
# What each row changes in the paper's network: a value, or the name of a component.
LAPTOP: dict[tuple[str, str], Changes] = {
    ("svkma_table3", "d1"): {},
    ("svkma_table3", "d2"): {AUGMENTATION: {"crop": 0.08, "flip": True, "flip_vertical": True}},
    ("svkma_table3", "d3"): {GENERATED: {"share": 1.0}},
    ("svkma_figure16", "svk"): {ATTENTION: "none"},
    ("svkma_figure16", "svk_ca"): {ATTENTION: "channel"},
    ("svkma_figure16", "svk_sa"): {ATTENTION: "spatial"},
    ("svkma_figure16", "svk_ma"): {},
    ("controls", "svk_ma"): {},
    ("controls", "cross_entropy"): {L2NORM: False, LOSS: "cross_entropy"},
}
FULL: dict[tuple[str, str], Changes] = {
    **LAPTOP,
    ("svkma_table5", "sak_ma"): {BACKBONE: "alexnet"},
    ("svkma_table5", "srk_ma"): {BACKBONE: "resnet18"},
    ("svkma_table5", "svk_ma"): {},
    ("svkma_table8", "vit"): {BACKBONE: "vit_b_16", **CLASSIFIER},
    ("svkma_table8", "swin_t"): {BACKBONE: "swin_t", **CLASSIFIER},
    ("svkma_table8", "vgg16"): CLASSIFIER,
    ("svkma_table8", "alexnet"): {BACKBONE: "alexnet", **CLASSIFIER},
    ("svkma_table8", "resnet18"): {BACKBONE: "resnet18", **CLASSIFIER},
    ("svkma_table8", "svk_ma"): {},
}
PROFILES = {"full": FULL, "laptop": LAPTOP}
ROWS = [(profile, *row) for profile, rows in PROFILES.items() for row in rows]


@cache
def study(profile: str) -> StudySpec:
    return resolve(ROOT / "search_spaces" / "svk_ma.yaml", {}, profile, has_gpu=True).spec


def row(profile: str, table: str, variant: str, params: dict[str, Scalar] | None = None) -> TrialSpec:
    return study(profile).variant(table, variant, 0, params or {})


def paper(profile: str) -> TrialSpec:
    """The network on which the tables of K and of classifiers stand."""
    table = published("svkma_table7")
    return row(profile, table.ablation, table.network)


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """The values of nested mappings by their dotted keys; a component's name stands under its own key."""
    if not isinstance(value, dict) or not value:
        return {path: value}
    inner = {f"{path}.{key}".lstrip("."): part for key, part in value.items() if key != "name"}
    name = {path: value["name"]} if "name" in value else {}
    return name | {k: v for key, part in inner.items() for k, v in flat(part, key).items()}


def sizes(spec: TrialSpec) -> dict[str, int]:
    """Number of parameters of each part of the network."""
    with torch.device("meta"):
        net = build_network(without_weights(spec), 2, 1)
    return {name: sum(p.numel() for p in part.parameters()) for name, part in net.named_children()}


@pytest.mark.parametrize("profile", PROFILES)
def test_every_row_of_the_study_file_is_looked_at(profile: str) -> None:
    tables = study(profile).ablations
    assert set(PROFILES[profile]) == {(t, v) for t, table in tables.items() for v in table.variants}


def test_the_papers_network_is_what_its_text_says() -> None:
    found = flat(paper("full").dump())
    said = {
        BACKBONE: "vgg16",
        f"{BACKBONE}.weights": "imagenet",
        ATTENTION: "cbam",  # channel, then spatial
        "model.attention_at": "last",
        "model.context": "none",
        LOSS: "contrastive",
        "loss.pairs": "random",
        "data.image_px": 224,
        "data.normalise": "half",
        f"{AUGMENTATION}.flip": False,
        f"{AUGMENTATION}.crop": 1.0,
        GENERATED: None,
    }
    assert {key: found[key] for key in said} == said
    rule = published("svkma_table5").neighbours
    assert rule is not None
    assert (rule.k, rule.distance, rule.votes) == (2, "euclidean", "uniform")


@pytest.mark.parametrize(("profile", "table", "variant"), ROWS)
def test_a_row_changes_only_what_it_names(profile: str, table: str, variant: str) -> None:
    before, found = flat(paper(profile).dump()), flat(row(profile, table, variant).dump())
    changes = PROFILES[profile][table, variant]
    different = {key for key in before.keys() | found.keys() if before.get(key) != found.get(key)}
    assert all(key.startswith(tuple(changes)) for key in different) if changes else not different
    for part, value in changes.items():
        expected = flat(value, part) if isinstance(value, dict) else {part: value}
        assert {key: found[key] for key in expected} == expected
        assert any(key.startswith(part) for key in different), part


@pytest.mark.parametrize(("profile", "table", "variant"), ROWS)
def test_nothing_of_a_row_comes_from_the_search(profile: str, table: str, variant: str) -> None:
    last: dict[str, Scalar] = {}
    for name, hole in study(profile).holes().items():
        last[name] = hole.high if hole.choices is None else list(hole.choices)[-1]
    assert study(profile).preset(last) != study(profile).preset({})
    ablation = study(profile).ablations[table]
    assert ablation.base == "first"
    for name in ablation.tune.parameters if ablation.tune else ():
        del last[name]  # which the row chooses for itself
    assert row(profile, table, variant, last) == row(profile, table, variant)


@pytest.mark.parametrize(("profile", "table", "variant"), ROWS)
def test_no_other_part_of_the_network_changes_its_size(profile: str, table: str, variant: str) -> None:
    before, found = sizes(paper(profile)), sizes(row(profile, table, variant))
    changes = PROFILES[profile][table, variant]
    different = {part for part in before if before[part] != found[part]}
    if BACKBONE in changes:  # another number of channels reaches the attention and the head
        assert "backbone" in different
    else:
        assert different == ({"attention"} if ATTENTION in changes else set())
