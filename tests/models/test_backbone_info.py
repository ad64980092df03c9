"""What is known of pretrained weights, and what the messages say where they cannot be had."""

from urllib.error import URLError

import pytest
import torch

from models.backbones import FOUNDATIONS, backbone_info, build_backbone

torch.set_num_threads(1)


def offline(*_args: object, **_kwargs: object) -> None:
    raise URLError("no network")


def test_without_a_network_the_message_says_which_file_to_put_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    message = r"weights of resnet18 could not be fetched.*resnet18-f37072fd.pth into .*/checkpoints/"
    with pytest.raises(ValueError, match=message):
        build_backbone("resnet18", weights="imagenet", image_px=32)
    monkeypatch.setattr("timm.create_model", offline)
    with pytest.raises(ValueError, match=r"hf download timm/resnet10t.*weights: /path/to/model.safetensors"):
        build_backbone("timm/resnet10t", weights="imagenet", image_px=32)
    with pytest.raises(ValueError, match="must be none or a local file for tiny, got imagenet"):
        build_backbone("tiny", weights="imagenet", image_px=32)
    message = r"dinov3 could not be fetched.*form at huggingface.co/timm/.* token: `hf auth login`"
    with pytest.raises(ValueError, match=message):
        build_backbone("timm/vit_small_patch16_dinov3", weights="imagenet", image_px=32)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("retfound_mae", "RETFound_mae_natureCFP.pth"),
        ("retfound_dinov2", "RETFound_dinov2_meh.pth"),
        ("flair", "pytorch_model.bin"),
    ],
)
@pytest.mark.parametrize("weights", ["imagenet", "/nowhere/model.pth"])
def test_a_foundation_model_says_which_file_it_needs_and_whether_a_form_is_in_the_way(
    name: str, file: str, weights: str
) -> None:
    message = rf"`backbone.weights`.*{name}.*Fetch {file} of huggingface.co/.*weights: /path/to/{file}"
    with pytest.raises(ValueError, match=message) as caught:
        build_backbone(name, weights=weights, image_px=32)
    assert ("form there and a token" in str(caught.value)) == backbone_info(name).gated


@pytest.mark.parametrize(
    ("name", "licence", "gated", "seen", "commercial"),
    [
        ("resnet50", "BSD-3-Clause", False, "imagenet1k", True),
        ("vit_small_patch14_dinov2.lvd142m", "apache-2.0", False, "lvd142m", True),
        ("timm/vit_small_patch16_dinov3", "dinov3-license", True, "lvd1689m", True),
        ("retfound_mae", "CC-BY-NC-4.0", True, "eyepacs", False),
        ("retfound_green", "non-commercial, custom", False, "odir5k", False),
        ("flair", "Apache-2.0", False, "odir5k", True),
    ],
)
def test_what_is_known_of_weights(name: str, licence: str, gated: bool, seen: str, commercial: bool) -> None:
    info = backbone_info(name)
    assert (info.licence, info.gated, info.commercial) == (licence, gated, commercial)
    assert seen in info.pretrained_on


def test_a_network_without_weights_has_seen_nothing() -> None:
    assert backbone_info("tiny").pretrained_on == ()
    with pytest.raises(ValueError, match=r"backbone\.name"):
        backbone_info("nonsense")


@pytest.mark.parametrize("name", FOUNDATIONS)
def test_foundation_models_name_networks_that_exist(name: str) -> None:
    with torch.device("meta"):
        assert build_backbone(name, image_px=112).out_channels >= 384
