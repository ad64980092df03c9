"""What is known of a backbone's pretrained weights: licence, access, and which images they have seen.

Source: the weights' model cards and papers; for timm its own configuration of each network.
"""

from dataclasses import dataclass

import timm

from models.backbones._torchvision import is_torchvision

NON_COMMERCIAL = "CC-BY-NC-4.0"


@dataclass(frozen=True)
class BackboneInfo:
    """Facts about the pretrained weights that a backbone's name stands for.

    Attributes:
        licence: SPDX name, or in words where there is none; empty where there are no weights.
        gated: whether a form or a token is needed to get them.
        pretrained_on: data sets they were trained on, by the names of this project's data sets where these are meant.
        note: what else a reader of results must know.
        file: which file of the authors it is, and where they keep it; empty for weights that torchvision or timm fetch.
    """

    licence: str
    gated: bool
    pretrained_on: tuple[str, ...]
    note: str = ""
    file: str = ""

    @property
    def commercial(self) -> bool:
        """Whether the licence allows commercial use, as far as its name tells."""
        return not any(word in self.licence.lower() for word in ("-nc", "non-commercial", "unknown"))

    @property
    def way(self) -> str:
        """How to come by the authors' file, and where to name it."""
        form = (
            " Access needs a form there and a token: `hf auth login`, then `hf download`."
            if self.gated
            else ""
        )
        return f"Fetch {self.file} and name it, `weights: /path/to/{self.file.partition(' ')[0]}`.{form}"


@dataclass(frozen=True)
class Foundation:
    """A foundation model: the network that its file fits, and what is known of the file."""

    network: str
    info: BackboneInfo


FOUNDATIONS = {
    "retfound_mae": Foundation(
        "vit_large_patch16_224",
        BackboneInfo(
            NON_COMMERCIAL, True, ("meh-midas", "eyepacs"), "public part of the pretraining images not checked; EyePACS presumed",
            "RETFound_mae_natureCFP.pth of huggingface.co/YukunZhou/RETFound_mae_natureCFP",
        ),
    ),
    "retfound_dinov2": Foundation(
        "vit_large_patch14_dinov2",
        BackboneInfo(
            NON_COMMERCIAL, True, ("lvd142m", "meh-midas"), "",
            "RETFound_dinov2_meh.pth of huggingface.co/YukunZhou/RETFound_dinov2_meh",
        ),
    ),
    "retfound_green": Foundation(
        "vit_small_patch14_reg4_dinov2",
        BackboneInfo(
            "non-commercial, custom", False, ("lvd142m", "odir5k", "ddr", "airogs"), "saw no labels; made for normalise: half, 392 px",
            "retfoundgreen_statedict.pth of github.com/justinengelmann/RETFound_Green, release v0.1",
        ),
    ),
    "visionfm": Foundation(
        "vit_base_patch16_224",
        BackboneInfo(
            NON_COMMERCIAL, False, ("visionfm",), "one file per modality",
            "VFM_Fundus_weights.pth, linked from github.com/ABILab-CUHK/VisionFM",
        ),
    ),
    "flair": Foundation(
        "resnet50",
        BackboneInfo(
            "Apache-2.0", False, ("imagenet1k", "odir5k", "eyepacs"), "trained with labels as text",
            "pytorch_model.bin of huggingface.co/jusiro2/FLAIR",
        ),
    ),
    "urfound": Foundation(
        "vit_base_patch16_224",
        BackboneInfo("MIT", False, ("odir5k", "eyepacs"), "licence of the code", "checkpoint.pth, linked from github.com/yukkai/UrFound"),
    ),
}  # fmt: skip

TAGS = {  # parts of timm's weight tags -> what the weights have seen
    "in1k": "imagenet1k", "in12k": "imagenet12k", "in21k": "imagenet21k", "in22k": "imagenet21k", "laion": "laion2b", "openai": "wit400m",
    "lvd142m": "lvd142m", "lvd1689m": "lvd1689m", "sat493m": "sat493m", "webli": "webli", "metaclip": "metaclip", "dfn": "dfn",
    "inat": "inaturalist", "sw": "instagram",
}  # fmt: skip


def backbone_info(name: str) -> BackboneInfo:
    """What is known of the weights behind a backbone's name (`weights: imagenet`, or a foundation model's file).

    Args:
        name: as for `build_backbone`.

    Raises:
        ValueError: unknown name.
    """
    if name == "tiny":
        return BackboneInfo("", False, ())
    if name in FOUNDATIONS:
        return FOUNDATIONS[name].info
    if is_torchvision(name):
        return BackboneInfo(
            "BSD-3-Clause",
            False,
            ("imagenet1k",),
            "licence of torchvision; ImageNet's images are for research",
        )
    cfg = (
        timm.get_pretrained_cfg(name.removeprefix("timm/"))
        if timm.is_model(name.removeprefix("timm/").partition(".")[0])
        else None
    )
    if cfg is None:
        raise ValueError(
            f"`backbone.name`: must be tiny, a torchvision, timm or foundation network, got {name}. See timm.list_models()."
        )
    tag = f"{cfg.tag or ''} {cfg.hf_hub_id or ''}"
    seen = tuple(sorted({data for part, data in TAGS.items() if part in tag}))
    return BackboneInfo(cfg.license or "unknown", "dinov3" in tag, seen or ("unknown",))
