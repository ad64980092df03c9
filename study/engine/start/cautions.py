"""What pretrained weights bring along: their licence, and images that the study is evaluated on."""

from collections.abc import Iterable

from models.backbones._info import backbone_info
from study.spec.model_section import BackboneSpec
from study.spec.trial_spec import TrialSpec


def cautions(fillings: Iterable[TrialSpec], dataset: str | None) -> list[str]:
    """What a reader must know of a study's pretrained weights, a sentence each; none where no weights are used.

    Args:
        fillings: trials that together take every backbone of the study.
        dataset: name of the data set that the study is evaluated on; None for drawn images, which no weights have seen.

    Raises:
        ValueError: an unknown backbone.
    """
    used = {(b.name, b.weights): b for b in (f.model.backbone for f in fillings) if b.weights != "none"}
    infos = {
        backbone.name: backbone_info(backbone.name) for backbone in used.values() if not _is_foreign(backbone)
    }
    foreign = [f"{backbone.name} ({backbone.weights})" for backbone in used.values() if _is_foreign(backbone)]
    bound = [f"{name} ({info.licence})" for name, info in infos.items() if not info.commercial]
    told = {"Pretrained weights whose licence is unknown or forbids commercial use": bound}
    if dataset is not None:
        seen = [
            f"{name}{f' ({info.note})' if info.note else ''}"
            for name, info in infos.items()
            if dataset in info.pretrained_on
        ]
        told[f"Pretrained on images of {dataset}, so that results on it flatter"] = seen
        told[f"Weights from a file of which it is not known whether they have seen {dataset}"] = foreign
    return [f"{what}: {', '.join(names)}." for what, names in told.items() if names]


def _is_foreign(backbone: BackboneSpec) -> bool:
    """Whether a file of one's own stands for a network whose name says nothing of what that file has seen."""
    return backbone.weights != "imagenet" and not backbone_info(backbone.name).file
