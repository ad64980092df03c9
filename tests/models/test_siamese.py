"""The siamese network as a whole."""

import copy
from collections.abc import Callable
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from models.attentions.mirror import Mirror
from models.attentions.mirror_binocular import MirrorBinocular
from models.attentions.none import NoAttention
from models.backbones import build_backbone
from models.contexts.mirror import MirrorPair
from models.contexts.none import NoContext
from models.contexts.osim import Osim
from models.contexts.osim_per_eye import OsimPerEye
from models.contracts import Attention, Context, Fusion, Loss, Pooling
from models.fusions.concat import Concat
from models.fusions.difference import Difference
from models.fusions.late import Late
from models.fusions.sum import Sum
from models.heads.multi_label import MultiLabel
from models.losses.bce import Bce
from models.losses.contrastive import Contrastive
from models.output import Output
from models.poolings.gem import Gem
from models.poolings.max import Max as Largest
from models.siamese import SiameseNet

torch.set_num_threads(1)


def build(
    *,
    context: Context | None = None,
    attention: Callable[[int], Attention] = NoAttention,
    fusion: Callable[[int, int], Fusion] = Concat,
    views: int = 2,
    dim: int | None = None,
    l2norm: bool = False,
    pooling: Pooling | None = None,
    per_eye: bool = False,
    freeze: Literal["none", "all"] | int = "none",
) -> SiameseNet:
    torch.manual_seed(0)
    context = context or NoContext(96)
    channels = context.out_channels
    fused = fusion(channels, views)
    return SiameseNet(
        build_backbone("tiny", freeze=freeze, image_px=32),
        context,
        attention(channels),
        fused,
        MultiLabel(dim or fused.out_features, 4),
        embedding_dim=dim,
        l2norm=l2norm,
        pooling=pooling,
        view_head=MultiLabel(channels, 4) if per_eye else None,
    )


def images(num: int = 4, views: int = 2) -> Tensor:
    return torch.randn(num, views, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def with_image_flips(channels: int) -> Attention:
    return Mirror(channels, flips="image")


def trained(net: SiameseNet) -> SiameseNet:
    """The network in evaluation mode, with batch-norm statistics that are no longer those of the start."""
    net.train()
    with torch.no_grad():
        for _ in range(3):
            net(images(8))
    return net.eval()


def test_the_parts_come_in_the_promised_order() -> None:
    net = trained(build(dim=16, l2norm=True))
    x = images()
    out = net(x)
    maps = torch.stack([net.backbone(x[:, eye]) for eye in (0, 1)], 1)
    torch.testing.assert_close(out.views, maps.mean((3, 4)), rtol=1e-4, atol=1e-5)
    z = net.embedding(maps.mean((3, 4)).flatten(1))
    torch.testing.assert_close(out.fused, z / z.norm(dim=1, keepdim=True), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(out.logits, net.head(out.fused), rtol=1e-4, atol=1e-5)
    assert out.view_logits is None
    assert out.fused.shape == (4, 16)


@pytest.mark.parametrize("views", [1, 2])
def test_both_eyes_pass_the_backbone_in_one_batch(views: int) -> None:
    net = build(views=views).eval()
    seen = []
    net.backbone.register_forward_hook(lambda _module, args, _out: seen.append(args[0].shape))
    net(images(3, views))
    assert seen == [(3 * views, 3, 32, 32)]


@pytest.mark.parametrize(
    "make",
    [
        lambda: build(
            context=Osim(96), attention=Mirror, fusion=Difference, dim=8, l2norm=True, pooling=Gem(48)
        ),
        lambda: build(context=OsimPerEye(96), attention=MirrorBinocular),
        lambda: build(attention=with_image_flips),
        lambda: build(context=MirrorPair(96, flips="image")),
        lambda: build(fusion=Late, per_eye=True),
    ],
    ids=["osim-mirror", "per eye", "image flips", "image flips in the context", "late"],
)
def test_a_pair_gives_the_same_alone_and_in_a_batch(make: Callable[[], SiameseNet]) -> None:
    net = trained(make())
    x = images(5)
    with torch.no_grad():
        whole, alone = net(x), net(x[3:4])
    for part, of_whole in zip(alone, whole, strict=True):
        if part is not None:
            torch.testing.assert_close(part, of_whole[3:4], rtol=1e-3, atol=1e-4)


def test_gradients_reach_both_eyes_and_every_part() -> None:
    net = build(context=Osim(96), attention=Mirror, fusion=Difference, dim=8)
    x = images().requires_grad_()
    Bce(torch.full((4,), 0.3))(net(x), torch.eye(4)).backward()
    assert x.grad is not None
    assert (x.grad.abs().sum((2, 3, 4)) > 0).all()
    idle = {name for name, p in net.named_parameters() if p.grad is None}
    assert idle == set()


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: build(freeze="all"), (1, 96)),
        (lambda: build(freeze="all", fusion=Late, pooling=Largest(96)), (1, 96)),
        (lambda: build(freeze="all", pooling=Gem(96)), (1, 96, 2, 2)),
        (lambda: build(freeze="all", context=Osim(96), fusion=Difference), (1, 96, 2, 2)),
        (lambda: build(freeze="all", attention=with_image_flips), (3, 96, 2, 2)),
        (lambda: build(freeze="all", fusion=Sum), (1, 96, 2, 2)),
        (lambda: build(freeze=2), (1, 32, 8, 8)),
        (build, (1, 3, 32, 32)),
    ],
    ids=["vectors", "late", "gem", "maps", "image flips", "sum", "leading stages", "nothing frozen"],
)
def test_features_lead_to_what_images_give(make: Callable[[], SiameseNet], shape: tuple[int, ...]) -> None:
    net = make().eval()
    x = images()
    features = net.features(x)
    assert features.shape == (4, 2, *shape)
    for ours, expected in zip(net.forward_features(features), net(x), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
    if len(net.backbone.frozen_parts):
        assert torch.equal(net.train().features(x), features)
        assert not features.requires_grad


@pytest.mark.parametrize("slot", ["attention", "context"])
def test_flips_of_the_map_encode_nothing_twice(slot: str) -> None:
    net = build(context=MirrorPair(96)) if slot == "context" else build(attention=Mirror)
    net.eval()
    seen = []
    net.backbone.register_forward_hook(lambda _module, args, _out: seen.append(len(args[0])))
    net(images(3))
    assert seen == [6]


@pytest.mark.parametrize("slot", ["attention", "context"])
def test_image_flips_encode_three_images_in_one_batch(slot: str) -> None:
    if slot == "context":
        net = trained(build(context=MirrorPair(96, flips="image")))
    else:
        net = trained(build(attention=with_image_flips))
    block = net.get_submodule(slot)
    nn.init.normal_(block.get_parameter("views.horizontal.out.weight"))
    nn.init.normal_(block.get_parameter("views.vertical.out.weight"))
    x = images(2)
    flat = x.flatten(0, 1)
    maps = [net.backbone(flipped) for flipped in (flat, flat.flip(3), flat.flip(2))]
    expected = block(*maps).unflatten(0, (2, 2))
    seen = []
    net.backbone.register_forward_hook(lambda _module, args, _out: seen.append(len(args[0])))
    torch.testing.assert_close(net(x).views, expected.mean((3, 4)), rtol=1e-4, atol=1e-4)
    assert seen == [12]


def test_only_one_part_may_ask_for_flipped_images() -> None:
    with pytest.raises(ValueError, match="must not need flipped images where the context does"):
        build(context=MirrorPair(96, flips="image"), attention=with_image_flips)


@pytest.mark.parametrize("pooling", [Gem(8), None])
def test_no_pooling_drops_the_negative_half_of_principal_components(pooling: Pooling | None) -> None:
    backbone = build_backbone("tiny", freeze="all", image_px=32).reduce(8)

    def assembled(context: Context) -> SiameseNet:
        fused = Concat(context.out_channels, 2)
        parts = (context, NoAttention(context.out_channels), fused, MultiLabel(fused.out_features, 4))
        return SiameseNet(backbone, *parts, pooling=pooling)

    if pooling is None:
        assembled(NoContext(8))
    else:
        with pytest.raises(ValueError, match="got gem, which takes them for 0"):
            assembled(NoContext(8))
    assembled(Osim(8))  # it ends in a ReLU


def test_a_late_fusion_joins_the_logits_of_the_eyes() -> None:
    net = trained(build(fusion=Late, dim=8, l2norm=True))
    out = net(images())
    assert out.view_logits is not None
    torch.testing.assert_close(out.logits, out.view_logits.amax(1))
    unit = nn.functional.normalize(net.embedding(out.views), dim=2)
    torch.testing.assert_close(out.view_logits[:, 1], net.head(unit[:, 1]))
    torch.testing.assert_close(out.fused, nn.functional.normalize(unit.mean(1)))


def test_supervision_per_eye_sees_known_eyes_only() -> None:
    net = build(per_eye=True).eval()
    out = net(images())
    known = torch.tensor([[True, False], [True, True], [False, False], [False, True]])
    eyes = out.per_eye(known)
    assert out.view_logits is not None
    vectors = torch.stack([out.views[i, j] for i, j in ((0, 0), (1, 0), (1, 1), (3, 1))])
    torch.testing.assert_close(eyes.fused, vectors)
    assert net.view_head is not None
    torch.testing.assert_close(eyes.logits, net.view_head(vectors))
    assert Contrastive(torch.ones(4))(eyes, torch.eye(4)).isfinite()
    with pytest.raises(ValueError, match="view_head"):
        build()(images()).per_eye(known)


def test_swapped_and_flipped_eyes_give_the_same_for_a_symmetric_fusion() -> None:
    net = trained(build(fusion=Difference))
    x = images()
    torch.testing.assert_close(net(x.flip(1)).logits, net(x).logits, rtol=1e-4, atol=1e-5)
    concat = trained(build())
    assert not torch.allclose(concat(x.flip(1)).logits, concat(x).logits, atol=1e-3)


def test_channels_last_gives_the_same() -> None:
    net = trained(build(context=Osim(96), attention=Mirror))
    x = images()
    expected = net(x)
    last = copy.deepcopy(net).to(memory_format=torch.channels_last)
    torch.testing.assert_close(last(x).logits, expected.logits, rtol=1e-4, atol=1e-5)


def test_bfloat16_autocast_gives_unit_embeddings_in_full_precision() -> None:
    net = trained(build(dim=16, l2norm=True))
    with torch.autocast("cpu", torch.bfloat16):
        fused = net(images()).fused
    assert fused.dtype == torch.float32
    torch.testing.assert_close(fused.norm(dim=1), torch.ones(4))


def test_outputs_of_batches_join() -> None:
    net = build(per_eye=True).eval()
    x = images()
    joined = Output.cat([net(x[:3]), net(x[3:])])
    torch.testing.assert_close(joined.logits, net(x).logits, rtol=1e-4, atol=1e-5)
    assert joined.view_logits is not None


@pytest.mark.parametrize("loss", [Bce, Contrastive])
def test_a_network_overfits_sixteen_pairs(loss: Callable[[Tensor], Loss]) -> None:
    torch.manual_seed(0)
    net = build(fusion=Difference, dim=16, l2norm=loss is not Bce).train()
    x = images(16)
    targets = torch.eye(4).repeat(4, 1)
    criterion = loss(targets.mean(0))
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3)
    first = criterion(net(x), targets).item()
    for _ in range(60):
        value = criterion(net(x), targets)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
    assert value.item() < 0.1 * first
