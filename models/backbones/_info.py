"""What is known of a backbone's pretrained weights: licence, access, and the data sets that they have seen.

Source: the model cards and papers of the weights; for timm its own configuration of each network.
"""

from dataclasses import dataclass

import timm

from models.backbones._own import OWN
from models.backbones._torchvision import is_torchvision

NON_COMMERCIAL = "CC-BY-NC-4.0"


@dataclass(frozen=True, kw_only=True)
class BackboneInfo:
    """Facts about the pretrained weights of a backbone's name.

    Attributes:
        licence: SPDX name of the licence, or words where it has none; empty where there are no weights.
        gated: Whether access needs a form or a token.
        pretrained_on: Data sets that the weights were trained on; those of this project go by its own names
            for them.
        note: What else a reader of results must know.
        file: File of the authors, and where they keep it; empty for weights that torchvision or timm fetch.
    """

    licence: str
    gated: bool
    pretrained_on: tuple[str, ...]
    note: str = ""
    file: str = ""

    @property
    def commercial(self) -> bool:
        """Whether the licence allows commercial use, judged by its name alone."""
        return not any(word in self.licence.lower() for word in ("-nc", "non-commercial", "unknown"))

    @property
    def way(self) -> str:
        """How to get the authors' file, and where to name it."""
        name = self.file.partition(" ")[0]
        form = " Access needs a form there and a token: `hf auth login`, then `hf download`."
        return f"Fetch {self.file} and name it, `weights: /path/to/{name}`.{form if self.gated else ''}"


@dataclass(frozen=True)
class Foundation:
    """A foundation model.

    Attributes:
        network: Name of the network that its file fits.
        info: What is known of the file.
    """

    network: str
    info: BackboneInfo


FOUNDATIONS = {
    "retfound_mae": Foundation(
        "vit_large_patch16_224",
        BackboneInfo(
            licence=NON_COMMERCIAL,
            gated=True,
            pretrained_on=("meh-midas", "eyepacs"),
            note="public part of the pretraining images not checked; EyePACS presumed",
            file="RETFound_mae_natureCFP.pth of huggingface.co/YukunZhou/RETFound_mae_natureCFP",
        ),
    ),
    "retfound_dinov2": Foundation(
        "vit_large_patch14_dinov2",
        BackboneInfo(
            licence=NON_COMMERCIAL,
            gated=True,
            pretrained_on=("lvd142m", "meh-midas"),
            file="RETFound_dinov2_meh.pth of huggingface.co/YukunZhou/RETFound_dinov2_meh",
        ),
    ),
    "retfound_green": Foundation(
        "vit_small_patch14_reg4_dinov2",
        BackboneInfo(
            licence="non-commercial, custom",
            gated=False,
            pretrained_on=("lvd142m", "odir5k", "ddr", "airogs"),
            note="saw no labels; made for normalise: half, 392 px",
            file="retfoundgreen_statedict.pth of github.com/justinengelmann/RETFound_Green, release v0.1",
        ),
    ),
    "visionfm": Foundation(
        "vit_base_patch16_224",
        BackboneInfo(
            licence=NON_COMMERCIAL,
            gated=False,
            pretrained_on=("visionfm",),
            note="one file per modality",
            file="VFM_Fundus_weights.pth, linked from github.com/ABILab-CUHK/VisionFM",
        ),
    ),
    "flair": Foundation(
        "resnet50",
        BackboneInfo(
            licence="Apache-2.0",
            gated=False,
            pretrained_on=("imagenet1k", "odir5k", "eyepacs"),
            note="trained with labels as text",
            file="pytorch_model.bin of huggingface.co/jusiro2/FLAIR",
        ),
    ),
    "urfound": Foundation(
        "vit_base_patch16_224",
        BackboneInfo(
            licence="MIT",
            gated=False,
            pretrained_on=("odir5k", "eyepacs"),
            note="licence of the code",
            file="checkpoint.pth, linked from github.com/yukkai/UrFound",
        ),
    ),
}

TAGS = {  # parts of timm's weight tags -> data sets that the weights have seen
    "in1k": "imagenet1k", "in12k": "imagenet12k", "in21k": "imagenet21k", "in22k": "imagenet21k",
    "laion": "laion2b", "openai": "wit400m", "lvd142m": "lvd142m", "lvd1689m": "lvd1689m",
    "sat493m": "sat493m", "webli": "webli", "metaclip": "metaclip", "dfn": "dfn", "inat": "inaturalist",
    "sw": "instagram",
}  # fmt: skip


def backbone_info(name: str) -> BackboneInfo:
    """What is known of the pretrained weights of a backbone's name.

    These are the weights of `weights: imagenet`, or those of a foundation model's file.

    Args:
        name: Name as in `build_backbone`.

    Raises:
        ValueError: The name is unknown.
    """
    if name in OWN:
        return BackboneInfo(licence="", gated=False, pretrained_on=())
    if name in FOUNDATIONS:
        return FOUNDATIONS[name].info
    if is_torchvision(name):
        return BackboneInfo(
            licence="BSD-3-Clause",
            gated=False,
            pretrained_on=("imagenet1k",),
            note="licence of torchvision; ImageNet's images are for research",
        )
    return _of_timm(name)


def _of_timm(name: str) -> BackboneInfo:
    plain = name.removeprefix("timm/")
    config = timm.get_pretrained_cfg(plain) if timm.is_model(plain.partition(".")[0]) else None
    if config is None:
        raise ValueError(
            f"`backbone.name`: must be {', '.join(OWN)}, a foundation model or a network of torchvision or "
            f"timm, got {name}. See timm.list_models()."
        )
    tag = f"{config.tag or ''} {config.hf_hub_id or ''}"
    seen = {data for part, data in TAGS.items() if part in tag}
    return BackboneInfo(
        licence=config.license or "unknown",
        gated="dinov3" in tag,
        pretrained_on=tuple(sorted(seen)) or ("unknown",),
    )
