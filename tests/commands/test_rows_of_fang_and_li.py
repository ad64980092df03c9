"""Each row of the tables of Fang et al. and Li et al. is the network that its name says."""

from functools import cache
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import nn

from models.attentions.spatial import Spatial
from models.backbones import build_backbone
from study.engine.training.network import build_network, without_weights
from study.reporting.papers import published_tables
from study.spec.holes import Scalar
from study.spec.resolve import resolve
from study.spec.study_file import StudySpec
from study.spec.trial_spec import TrialSpec
from tests.commands.test_paper_rows import flat

ROOT = Path(__file__).parents[2]
Row = tuple[Literal["mirror", "bfpc"], Literal["full", "laptop"], str, str]
Changes = dict[str, object]

MIRROR = {"model.context.name": "mirror", "model.context.flips": "image", "model.context.norm": "rows"}
GATE = {"model.attention.name": "spatial", "model.attention.kernel": 3, "model.attention_at": "input"}
FINE = {"loss.name": "fine_triplet", "loss.margin": 0.25, "loss.gamma": 1.0}
DEGREES = FINE | MIRROR | {"model.backbone.name": "densenet121"}
WHERE = {"model.context.value_from": "original"}
# What a row has in other places than the base of its table: the parts that it names, and nothing else.
FANG: dict[str, Changes] = {
    "gem": {},
    "aploss": {"loss": "average_precision", "model.embedding.dim": 2048, "model.embedding.l2norm": True},
    "sanet": GATE | {"model.backbone.name": "densenet121", "model.context": "self_attention"},
    "manet_densenet": GATE | MIRROR | WHERE | {"model.backbone.name": "densenet121"},
    "manet": FINE
    | MIRROR
    | WHERE
    | {
        "model.backbone.name": "unet_encoder",
        "model.backbone.weights": "none",
        "loss.degree": "ratio_literal",
    },
}
OURS: dict[str, Changes] = {
    "ratio_literal": DEGREES | WHERE | {"loss.degree": "ratio_literal"},
    "none": DEGREES | WHERE | {"loss.degree": "none"},
    "symmetric": DEGREES | WHERE | {"loss.degree": "symmetric"},
    "standard_attention": DEGREES
    | {"loss.degree": "ratio_literal", "model.context.norm": "cols", "model.context.value_from": "mirror"},
    "map_flips": DEGREES | WHERE | {"loss.degree": "ratio_literal", "model.context.flips": "map"},
}
LI: dict[str, Changes] = {
    "bfpc_net": {},
    "no_attention": {"model.attention": "none", "model.backbone.drop_stages": 0},
    "no_detail": {"data.illumination": "none"},
    "plain_fusion": {"model.fusion": "concat"},
    "fusion_of_logits": {"model.fusion.name": "late", "model.fusion.rule": "mean"},
    "bce": {"loss": "bce"},
}


def on_tiny(changes: Changes) -> Changes:
    """The changes of the laptop's row: every backbone is `tiny`, whose map has 96 channels."""
    kept = {key: value for key, value in changes.items() if not key.startswith("model.backbone.")}
    return kept | ({"model.embedding.dim": 96} if "model.embedding.dim" in changes else {})


ROWS: dict[Row, Changes] = {
    **{("mirror", "full", "fang_retrieval", row): changes for row, changes in FANG.items()},
    **{("mirror", "full", "degrees", row): changes for row, changes in OURS.items()},
    **{("mirror", "laptop", "fang_retrieval", row): on_tiny(changes) for row, changes in FANG.items()},
    ("bfpc", "full", "li_headline", "bfpc_net"): {},
    ("bfpc", "laptop", "li_headline", "bfpc_net"): {},
    **{("bfpc", "full", "attention", row): changes for row, changes in LI.items()},
    **{("bfpc", "laptop", "attention", row): changes for row, changes in LI.items() if row != "bce"},
}
BASES = {"mirror": ("fang_retrieval", "gem"), "bfpc": ("li_headline", "bfpc_net")}
# What the sources do not state; the search's best trial decides it.
SEARCHED = {
    "mirror": set(),
    "bfpc": {
        "data.image_px",
        *(f"optimiser.{key}" for key in ("lr", "weight_decay", "backbone_lr_scale", "layer_decay")),
    },
}


@cache
def study(file: str, profile: str) -> StudySpec:
    return resolve(ROOT / "search_spaces" / f"{file}.yaml", {}, profile, has_gpu=True).spec


def best_trials(spec: StudySpec) -> list[dict[str, Scalar]]:
    """Parameters of best trials: everywhere the last choice or the upper end, then each other choice once."""
    holes = spec.holes()
    last = {name: list(hole.choices)[-1] if hole.choices else hole.high for name, hole in holes.items()}
    others = [{**last, name: label} for name, hole in holes.items() for label in hole.choices or ()]
    return [last, *others]


def parts(spec: TrialSpec) -> dict[str, nn.Module]:
    single = spec.data.unit == "eye"
    with torch.device("meta"):
        net = build_network(without_weights(spec), 5 if single else 8, 1 if single else 2)
    return dict(net.named_children())


def sizes(spec: TrialSpec) -> dict[str, int]:
    """Number of parameters of each part of the network."""
    return {name: sum(p.numel() for p in part.parameters()) for name, part in parts(spec).items()}


def row(file: str, profile: str, table: str, variant: str) -> TrialSpec:
    return study(file, profile).variant(table, variant, 0, {})


def rows_of(file: str, profile: str) -> set[tuple[str, str]]:
    tables = study(file, profile).ablations
    return {(table, variant) for table, ablation in tables.items() for variant in ablation.variants}


@pytest.mark.parametrize("file", ["mirror", "bfpc"])
@pytest.mark.parametrize("profile", ["full", "laptop"])
def test_every_row_of_the_study_files_is_looked_at(file: str, profile: str) -> None:
    assert rows_of(file, profile) == {key[2:] for key in ROWS if key[:2] == (file, profile)}


@pytest.mark.parametrize(("file", "paper"), [("mirror", "MANet"), ("bfpc", "BFPC-Net")])
def test_every_row_of_the_papers_tables_is_trained_or_says_why_not(file: str, paper: str) -> None:
    tables = [table for table in published_tables() if table.paper == paper]
    assert tables
    for table in tables:
        variants = study(file, "full").ablations[table.ablation].variants
        without = {key for key, row in table.rows.items() if row.not_built or row.baseline}
        assert table.rows.keys() - variants.keys() == without


@pytest.mark.parametrize("key", ROWS, ids="-".join)
def test_a_row_has_what_it_names_and_all_else_is_the_bases(key: Row) -> None:
    file, profile, _, _ = key
    base, found, changes = flat(row(file, profile, *BASES[file]).dump()), flat(row(*key).dump()), ROWS[key]
    for place, value in changes.items():
        assert found.get(place) == value, place
    different = {place for place in base.keys() | found.keys() if base.get(place) != found.get(place)}
    of_components = ("model.context", "model.attention", "model.fusion", "loss", "data.illumination")
    named = {next((c for c in of_components if place.startswith((c, f"{c}."))), place) for place in changes}
    unnamed = {place for place in different if not place.startswith(tuple(named))}
    assert unnamed == set()


@pytest.mark.parametrize("key", ROWS, ids="-".join)
def test_a_row_takes_nothing_from_the_search_that_its_source_states(key: Row) -> None:
    file, profile, table, variant = key
    spec = study(file, profile)
    alone = flat(spec.variant(table, variant, 0, {}).dump())
    for best in best_trials(spec):
        found = flat(spec.variant(table, variant, 0, best).dump())
        different = {place for place in alone.keys() | found.keys() if alone.get(place) != found.get(place)}
        assert different <= SEARCHED[file], best


def conv(inputs: int, outputs: int, *, bias: bool = True) -> int:
    """Parameters of a 1x1 convolution."""
    return inputs * outputs + bias * outputs


def test_the_networks_of_fang_have_the_sizes_that_their_names_say() -> None:
    found = {name: sizes(row("mirror", "full", "fang_retrieval", name)) for name in FANG}
    backbones = {
        name: sum(p.numel() for p in build_backbone(name, image_px=64).parameters())
        for name in ("resnet101", "densenet121", "unet_encoder")
    }
    assert found["gem"]["backbone"] == found["aploss"]["backbone"] == backbones["resnet101"]
    assert found["manet"]["backbone"] == backbones["unet_encoder"]
    gate = 2 * 3 * 3  # a 3x3 convolution of mean and maximum; a batch norm may follow it
    for name in ("sanet", "manet_densenet"):
        assert gate <= found[name]["backbone"] - backbones["densenet121"] <= gate + 2
    theta = conv(1024, 512, bias=False) + 2 * 512
    branch = theta + conv(1024, 512) + conv(512, 1024)
    assert found["sanet"]["context"] == theta + branch
    assert found["manet_densenet"]["context"] == theta + 2 * branch
    assert found["gem"]["context"] == found["aploss"]["context"] == 0
    widths = {"gem": 2048, "aploss": 2048, "sanet": 1024, "manet_densenet": 2048, "manet": 1024}
    assert {name: size["head"] for name, size in found.items()} == {
        name: conv(width, 5) for name, width in widths.items()
    }
    assert found["aploss"]["embedding"] == conv(2048, 2048)
    assert all(size["pooling"] == 1 for size in found.values())  # the exponent of GeM
    assert all(size["attention"] == 0 for size in found.values())


@pytest.mark.parametrize("profile", ["full", "laptop"])
def test_the_gate_of_sanet_stands_before_the_backbone(profile: str) -> None:
    for name in ("sanet", "manet_densenet"):
        backbone = parts(row("mirror", profile, "fang_retrieval", name))["backbone"]
        assert [type(m) for m in backbone.modules() if isinstance(m, Spatial)] == [Spatial]
        assert isinstance(backbone.get_submodule("net.input"), Spatial)


@pytest.mark.parametrize("profile", ["full", "laptop"])
def test_the_rows_of_li_change_the_size_of_the_part_that_they_name_alone(profile: str) -> None:
    paper = sizes(row("bfpc", profile, "li_headline", "bfpc_net"))
    changed = {
        "bfpc_net": set(),
        "no_detail": set(),
        "bce": set(),
        "plain_fusion": {"fusion", "head"},
        "fusion_of_logits": {"fusion", "head"},
        # without residual attention the last stage is back, and all behind it sees its channels
        "no_attention": {"backbone", "attention"} | ({"fusion"} if profile == "full" else set()),
    }
    for name in study("bfpc", profile).ablations["attention"].variants:
        found = sizes(row("bfpc", profile, "attention", name))
        assert {part for part in paper if paper[part] != found[part]} == changed[name], name
    without = sizes(row("bfpc", profile, "attention", "no_attention"))
    assert without["attention"] == 0
