"""Every attention, context, pooling, fusion and head of the registry does what its contract says."""

import pickle
import sys

import pytest
import torch

from models.contracts import Contract, Head
from study.spec import components
from study.testing import CHANNELS, LABELS, SETS, check_component, inputs, out_shape, scrambled
from tests.models.parts import Spec, label, label_sets_for, specs_of
from tests.models.parts import build as build_component

torch.set_num_threads(1)
LEVELS: list[Spec] = [
    {"name": name, "level": "feature_map"} for name in ("concat", "difference", "gated", "max")
]
VARIANTS: dict[str, list[Spec]] = {
    "attention": [
        {"name": "spatial_channel", "order": "channel_spatial"},
        {"name": "eca", "kernel": 5},
        {"name": "mirror", "flips": "image"},
        {"name": "mirror", "norm": "rows", "value_from": "mirror"},
        {"name": "mirror_binocular", "flip": False, "norm": "rows", "value_from": "original"},
    ],
    "context": [
        {"name": "osim", "scale_mode": "window", "kernel": 3},
        {"name": "aspp", "rates": [12, 24, 36]},
        {"name": "mirror", "flips": "image", "norm": "rows"},
        {"name": "osim_per_eye", "eyes": "left"},
        {"name": "osim_per_eye", "eyes": "right"},
        {"name": "osim_per_eye", "eyes": "neither"},
        {"name": "osim_per_eye", "share": True},
    ],
    "pooling": [],
    "fusion": [
        *LEVELS,
        {"name": "bilinear", "level": "pooled", "rank": 8},
        {"name": "late", "rule": "noisy_or"},
        {"name": "sum", "average": True},
        {"name": "cross_attention", "combine": "sum"},
        {"name": "casfm", "cross_mode": "standard", "pos_grid": 1, "literal_scale": True, "dim": 32},
        {"name": "casfm", "share_eyes": True, "combine": "sum", "dim": 32},
        {"name": "dual_synergy", "cafm": "mhca", "discrepancy": "signed", "similarity": "cosine", "dim": 32},
        {
            "name": "dual_synergy",
            "cafm": "none",
            "discrepancy": "cosine",
            "combine": "sum",
            "dim": 32,
            "cross_mode": "standard",
        },
        {"name": "dual_synergy", "combine": "max", "casfm": False, "dim": 32},
        {"name": "dual_synergy", "ccam": False, "dim": 32},
        {"name": "dual_synergy", "ccam": False, "ciam": False, "dim": 32},
    ],
    "head": [{"name": "multi_label", "dropout": 0.5}],
}
CASES = [(kind, spec) for kind, variants in VARIANTS.items() for spec in specs_of(kind, variants)]
FUSIONS = specs_of("fusion", VARIANTS["fusion"])
MAPS = [(kind, spec) for kind, spec in CASES if kind != "head"]
BINOCULAR = [
    (kind, name)
    for kind in ("attention", "context")
    for name in components.names(kind)
    if components.load(kind, name).binocular
]


def fresh(kind: str, spec: Spec, channels: int) -> Contract:
    """The component as it starts, with what the platform gives to its constructor."""
    if kind == "fusion":
        return build_component(kind, spec, channels, 2)
    if kind == "head":
        return build_component(kind, spec, channels, LABELS, *label_sets_for(spec["name"], SETS))
    return build_component(kind, spec, channels)


def build(kind: str, spec: Spec, channels: int = CHANNELS) -> Contract:
    """The component with weights and statistics far from their start, so that it is no identity."""
    torch.manual_seed(0)
    return scrambled(fresh(kind, spec, channels)).eval()


@pytest.mark.parametrize(("h", "w"), [(7, 7), (5, 9), (2, 2), (1, 1), (1, 3)])
@pytest.mark.parametrize(("kind", "spec"), MAPS, ids=label)
def test_any_size_of_map_gives_the_promised_shape(kind: str, spec: Spec, h: int, w: int) -> None:
    module = build(kind, spec)
    x = inputs(module, 2, h, w)
    y = module(*x)
    assert tuple(y.shape) == out_shape(module, x[0])
    assert y.isfinite().all()


@pytest.mark.parametrize("spec", specs_of("head", VARIANTS["head"]), ids=label)
def test_a_head_gives_logits_scores_and_targets_of_the_promised_shapes(spec: Spec) -> None:
    module = build("head", spec)
    assert isinstance(module, Head)
    (x,) = inputs(module, 3)
    logits = module(x)
    assert tuple(logits.shape) == out_shape(module, x)
    scores = module.scores(logits)
    assert scores.shape == (3, LABELS)
    assert 0 <= scores.min() <= scores.max() <= 1
    encoded = module.encode(SETS if module.multilabel_data else torch.eye(LABELS))
    assert encoded.shape[1] == logits.shape[1]
    assert (encoded.sum(1) == 1).all().item() == module.exclusive
    assert module.wants_label_sets == (module.label_sets is not None)


@pytest.mark.parametrize("channels", [1, 2, 20])
@pytest.mark.parametrize(("kind", "spec"), MAPS, ids=label)
def test_any_number_of_channels_works(kind: str, spec: Spec, channels: int) -> None:
    module = build(kind, spec, channels)
    x = [part.repeat_interleave(2, -3)[..., :channels, :, :] for part in inputs(module, 2)]
    assert module(*x).isfinite().all()


@pytest.mark.parametrize(("kind", "spec"), CASES, ids=label)
def test_every_component_passes_the_check_that_packages_use(kind: str, spec: Spec) -> None:
    check_component(kind, str(spec["name"]), **{key: value for key, value in spec.items() if key != "name"})


@pytest.mark.parametrize(("kind", "spec"), CASES, ids=label)
def test_a_pickled_component_gives_the_same(kind: str, spec: Spec) -> None:
    module = build(kind, spec)
    x = inputs(module, 2)
    with torch.no_grad():
        torch.testing.assert_close(pickle.loads(pickle.dumps(module))(*x), module(*x))


@pytest.mark.parametrize(("kind", "spec"), CASES, ids=label)
def test_bfloat16_autocast_is_close_to_full_precision(kind: str, spec: Spec) -> None:
    module = build(kind, spec)
    x = inputs(module, 2)
    with torch.no_grad():
        full = module(*x)
        with torch.autocast("cpu", torch.bfloat16):
            half = module(*(part.bfloat16() for part in x)).float()
    assert half.isfinite().all()
    assert (half - full).norm() < 0.05 * full.norm()


@pytest.mark.parametrize("spec", FUSIONS, ids=label)
def test_a_fusion_that_calls_itself_symmetric_is(spec: Spec) -> None:
    module = build("fusion", spec)
    (x,) = inputs(module, 3)
    with torch.no_grad():
        same = torch.allclose(module(x), module(x.flip(1)), rtol=1e-4, atol=1e-5)
    assert same == module.symmetric


@pytest.mark.parametrize("spec", FUSIONS, ids=label)
def test_a_fusion_takes_one_view_or_says_that_it_needs_two(spec: Spec) -> None:
    refusal = refusal_of_one_view(spec)
    if refusal:
        assert f"{spec['name']} needs both eyes, got 1" in refusal
    else:
        module = build_component("fusion", spec, CHANNELS, 1).eval()
        assert module(torch.randn(3, 1, CHANNELS, 4, 4)).shape == (3, module.out_features)


def refusal_of_one_view(spec: Spec) -> str:
    """What a fusion says against single images; nothing where it takes them."""
    try:
        build_component("fusion", spec, CHANNELS, 1)
    except ValueError as error:
        return str(error)
    return ""


def test_the_fusions_that_are_offered_for_single_images_take_them() -> None:
    remedy = refusal_of_one_view({"name": "difference"}).partition("Use ")[2]
    offered = remedy.removesuffix(".").replace(" or ", ", ").split(", ")
    taking = [name for name in components.names("fusion") if not refusal_of_one_view({"name": name})]
    assert sorted(offered) == taking == ["concat", "gated", "late", "max", "sum"]


@pytest.mark.parametrize(("kind", "name"), BINOCULAR)
def test_a_binocular_block_needs_both_eyes(kind: str, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} needs both eyes, got 1"):
        build(kind, {"name": name})(torch.randn(2, 1, CHANNELS, 4, 4))


@pytest.mark.parametrize(
    ("kind", "spec", "message"),
    [
        ("attention", {"name": "se", "reduction": 0}, "attention.reduction"),
        ("attention", {"name": "eca", "kernel": 4}, "must be odd"),
        ("context", {"name": "aspp", "rates": [0, 1, 2]}, "at least 1"),
        ("context", {"name": "aspp", "dropout": 1.0}, "below 1"),
        ("pooling", {"name": "gem", "p": 0.5}, "at least 1"),
        ("fusion", {"name": "casfm", "heads": 7}, "must divide the width 256, got 7"),
        ("fusion", {"name": "casfm", "pos_grid": 0}, "pos_grid"),
        ("fusion", {"name": "dual_synergy", "casfm": False, "ccam": False, "ciam": False}, "at least one of"),
        ("fusion", {"name": "dual_synergy", "layers": 0}, "layers and growth"),
        ("fusion", {"name": "bilinear", "rank": 0}, "rank"),
        ("fusion", {"name": "ffm", "width": 0}, "width and hidden"),
        ("head", {"name": "powerset", "dropout": 1.0}, "dropout"),
        ("head", {"name": "multi_label", "dropout": -0.1}, "dropout"),
    ],
    ids=label,
)
def test_an_argument_outside_its_range_is_refused(kind: str, spec: Spec, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(kind, spec)


@pytest.mark.parametrize("kind", components.CONTRACTS)
def test_every_component_says_its_source_and_what_differs(kind: str) -> None:
    for name in components.names(kind):
        text = sys.modules[components.load(kind, name).__module__].__doc__ or ""
        assert "\nSource: " in text, name
        assert "\nDiffers: " in text, name
