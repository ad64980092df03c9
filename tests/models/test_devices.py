"""Networks and losses compute on the device of their input: found with imagined tensors, without a GPU."""

from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from models.attentions.none import NoAttention
from models.backbones import build_backbone
from models.contexts.none import NoContext
from models.fusions.concat import Concat
from models.heads.multi_label import MultiLabel
from models.output import Output
from models.siamese import SiameseNet
from study.data.augmentation import Augmentation
from study.data.cutmix import CutMix
from study.engine.training.network import build_criterion, build_network
from study.spec import components
from study.spec.resolve import resolve
from study.spec.trial_spec import TrialSpec
from study.testing import inputs
from tests.models.parts import Spec, build, label
from tests.models.test_component_contracts import CASES, fresh

ROOT = Path(__file__).parents[2]
STUDIES = sorted((ROOT / "search_spaces").glob("*.yaml"))
NUM_LABELS, IMAGE_PX = 4, 64
SMALL = {"name": "tiny", "weights": "none", "drop_stages": 0, "freeze": "none", "reduce": None}
ONE_IMAGE = ("mirror", "svk_ma")  # studies whose samples are single images


def devices(*tensors: Tensor | None) -> set[str]:
    return {tensor.device.type for tensor in tensors if tensor is not None}


def networks(path: Path) -> list[TrialSpec]:
    """Trials of a study that together have every part with every argument, on a small backbone."""
    seen: set[tuple[str, str]] = set()
    found = []
    for trial in resolve(path, {}, "auto", has_gpu=True).spec.trials_to_check():
        backbone = trial.model.backbone.model_copy(update=SMALL)
        model = trial.model.model_copy(update={"backbone": backbone, "attention_at": "last"})
        parts = {(key, str(getattr(model, key))) for key in type(model).model_fields} | {
            ("loss", str(trial.loss))
        }
        if not parts <= seen:
            seen |= parts
            found.append(trial.model_copy(update={"model": model}))
    return found


@pytest.mark.parametrize(("kind", "spec"), CASES, ids=label)
@pytest.mark.parametrize("training", [True, False])
def test_a_component_stays_on_its_device(kind: str, spec: Spec, training: bool) -> None:
    component = fresh(kind, spec, 16).train(training)
    shapes = [x.shape for x in inputs(component, 2)]
    with FakeTensorMode(allow_non_fake_inputs=True):
        found = component.to("cuda")(*(torch.empty(shape, device="cuda") for shape in shapes))
    assert devices(found) == {"cuda"}


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_the_networks_and_losses_of_a_study_stay_on_their_device(path: Path) -> None:
    num_views = 1 if path.stem in ONE_IMAGE else 2
    for trial in networks(path):
        net = build_network(trial, NUM_LABELS, num_views, torch.eye(NUM_LABELS))
        loss = build_criterion(trial, net, torch.eye(NUM_LABELS))
        learns_from_eyes = trial.training.eye_weight or trial.training.supervision == "eyes"
        with FakeTensorMode(allow_non_fake_inputs=True):
            net.to("cuda")
            loss.to("cuda")
            images = torch.empty(4, num_views, 3, IMAGE_PX, IMAGE_PX, device="cuda")
            targets = torch.empty(4, NUM_LABELS, device="cuda")
            for training in (True, False):
                output = net.train(training)(images)
                assert devices(*output, net.head.scores(output.logits)) == {"cuda"}
                if not learns_from_eyes:  # imagined tensors cannot say whose labels are known
                    of_eyes = torch.empty(4, num_views, NUM_LABELS, device="cuda")
                    assert devices(loss(output, targets, of_eyes)) == {"cuda"}


@pytest.mark.parametrize("name", components.names("loss"))
def test_a_loss_stays_on_its_device(name: str) -> None:
    """Imagined tensors have no numbers, so that a loss that waited for the GPU to see one would fail, too."""
    loss = build("loss", {"name": name}, torch.full((NUM_LABELS,), 0.25))
    with FakeTensorMode(allow_non_fake_inputs=True):
        fused = torch.empty(8, 16, device="cuda")
        output = Output(fused[:, :NUM_LABELS], fused, fused[:, None])
        found = loss.to("cuda")(output, torch.empty(8, NUM_LABELS, device="cuda"))
    assert devices(found) == {"cuda"}


@pytest.mark.parametrize(
    "augmentation",
    [Augmentation(flip=True, flip_vertical=True), Augmentation(rotate_deg=9.0, crop=0.5, scale=0.1),
     Augmentation(brightness=0.1, contrast=0.1, saturation=0.1)],
    ids=["turned", "geometry", "light"],
)  # fmt: skip
def test_augmented_images_stay_on_their_device(augmentation: Augmentation) -> None:
    generator = torch.Generator()
    with FakeTensorMode(allow_non_fake_inputs=True):
        images = torch.empty(4, 2, 3, IMAGE_PX, IMAGE_PX, device="cuda")
        boxes = [CutMix("standard", box=box).boxes(images, generator) for box in ("shared", "per_eye")]
        assert devices(*augmentation(images, generator), *boxes) == {"cuda"}


@pytest.mark.parametrize("freeze", ["all", 2])
@pytest.mark.parametrize("name", ["tiny", "resnet18", "swin_t", "vit_b_32", "vit_tiny_patch16_224"])
def test_a_frozen_network_stays_on_its_device(name: str, freeze: Literal["all"] | int) -> None:
    backbone = build_backbone(name, freeze=freeze, image_px=IMAGE_PX)
    fusion = Concat(backbone.out_channels, 2)
    context, attention = NoContext(backbone.out_channels), NoAttention(backbone.out_channels)
    head = MultiLabel(fusion.out_features, NUM_LABELS)
    net = SiameseNet(backbone, context, attention, fusion, head, l2norm=True)
    with FakeTensorMode(allow_non_fake_inputs=True):
        net.to("cuda")
        images = torch.empty(2, 2, 3, IMAGE_PX, IMAGE_PX, device="cuda")
        features = net.features(images)
        assert devices(features, *net.forward_features(features), *net(images)) == {"cuda"}


def test_a_tensor_on_the_wrong_device_is_found() -> None:
    class Forgetful(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + torch.ones(3)

    with FakeTensorMode(), pytest.raises(RuntimeError, match="cuda"):
        Forgetful().to("cuda")(torch.empty(3, device="cuda"))
