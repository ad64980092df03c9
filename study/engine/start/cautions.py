"""What pretrained weights bring along: their licence, and images that the study is evaluated on."""

from collections.abc import Iterable

from models.backbones._info import BackboneInfo, backbone_info
from study.spec.model_section import BackboneSpec
from study.spec.trial_spec import TrialSpec


def cautions(trials: Iterable[TrialSpec], dataset: str | None) -> list[str]:
    """What a reader must know of a study's pretrained weights, a sentence each; nothing without such weights.

    Args:
        trials: Trials that together take every backbone of the study.
        dataset: Name of the data set that the study is evaluated on; None for drawn images, which no
            weights have seen.

    Raises:
        ValueError: A backbone is unknown.
    """
    backbones = [trial.model.backbone for trial in trials]
    used = {(backbone.name, backbone.weights): backbone for backbone in backbones if backbone.pretrained}
    foreign = [f"{name} ({weights})" for (name, weights), backbone in used.items() if _is_foreign(backbone)]
    names = dict.fromkeys(backbone.name for backbone in used.values() if not _is_foreign(backbone))
    infos = {name: backbone_info(name) for name in names}
    bound = [f"{name} ({info.licence})" for name, info in infos.items() if not info.commercial]
    lines = {"Pretrained weights whose licence is unknown or forbids commercial use": bound}
    if dataset is not None:
        seen = [_with_note(name, info) for name, info in infos.items() if dataset in info.pretrained_on]
        lines[f"Pretrained on images of {dataset}, so that results on it look better than on new images"] = (
            seen
        )
        lines[f"Weights from a file of which it is not known whether they have seen {dataset}"] = foreign
    return [f"{what}: {', '.join(which)}." for what, which in lines.items() if which]


def _is_foreign(backbone: BackboneSpec) -> bool:
    """Whether the weights are a file of the user's own, of which the backbone's name says nothing."""
    return backbone.weights != "imagenet" and not backbone_info(backbone.name).file


def _with_note(name: str, info: BackboneInfo) -> str:
    return f"{name} ({info.note})" if info.note else name
