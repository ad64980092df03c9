"""What usually goes wrong with one study on one machine: storage, data, weights."""

import tempfile
from pathlib import Path

import timm
import torch
from huggingface_hub import try_to_load_from_cache
from torchvision import models as zoo
from torchvision.models import get_model_weights, list_models  # type: ignore[attr-defined]

from models.backbones._info import backbone_info
from study.data.images import ImageFolder
from study.data.pairs import Pairs
from study.data.source import open_dataset
from study.engine.doctor.machine import Finding
from study.evidence.store import Store
from study.spec.errors import DataError, StorageError
from study.spec.study_file import StudySpec
from study.spec.trial_spec import TrialSpec


def check_study(spec: StudySpec) -> list[Finding]:
    """All findings of a study that was read without an error."""
    trials = spec.corners()
    trials += [
        spec.variant(table, name, a.seeds[0], {})
        for table, a in spec.ablations.items()
        for name in a.variants
    ]
    backbones = {(t.model.backbone.name, t.model.backbone.weights): t for t in trials}
    return [
        check_storage(spec.storage),
        *check_data(trials[0]),
        *(
            check_weights(name, weights, trial.weights.get(name))
            for (name, weights), trial in backbones.items()
            if weights != "none"
        ),
    ]


def check_storage(storage: str) -> Finding:
    """Results can be written; a folder that is not there yet is not made."""
    what, remedy = "storage", "choose another place with --storage"
    if "://" in storage:
        try:
            Store(storage).check_writable()
        except StorageError as error:
            return Finding("problem", what, str(error), remedy)
        return Finding("ok", what, f"{storage} can be written")
    folder = Path(storage).expanduser().absolute()
    there = next(p for p in (folder, *folder.parents) if p.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=there):
            pass
    except OSError as error:
        return Finding("problem", what, f"{there} cannot be written: {error.strerror}", remedy)
    return Finding("ok", what, f"{folder} can be written")


def check_data(trial: TrialSpec) -> list[Finding]:
    """The data set can be read, its files are there, and its first image can be decoded."""
    what, data = "data", trial.data
    try:
        pairs = open_dataset(data.dataset, data.root, num_patients=data.phantom_patients, unit=data.unit)
        pairs.load(next(key for key in pairs.keys[0] if key is not None))
    except DataError as error:
        return [Finding("problem", what, str(error), "correct data.root, or the file that is named")]
    found = f"{pairs.dataset}, {pairs.table['patient'].nunique()} patients"
    if pairs.synthetic and data.dataset.name != "phantom":
        remedy = f"--set data.root=FOLDER, or STUDY_ROOT_{data.dataset.name.upper()} in the environment"
        return [
            Finding("warning", what, f"no root for {data.dataset.name}: SYNTHETIC images stand in", remedy)
        ]
    missing = _missing(pairs)
    if missing:
        found = f"{found}; {len(missing)} images are missing: {', '.join(missing[:3])}"
        return [
            Finding(
                "problem" if data.on_bad_image == "error" else "warning",
                what,
                found,
                "restore them, or data.on_bad_image: skip",
            )
        ]
    return [Finding("ok", what, f"{found}, all files there")]


def check_weights(name: str, weights: str, given: Path | None) -> Finding:
    """Pretrained weights are on this machine; nothing is fetched to find out."""
    what = f"weights of {name}"
    local = given if weights == "imagenet" else Path(weights)
    if local is not None:
        if not local.is_file():
            return Finding("problem", what, f"{local} is not there", "put the file there, or name another")
        return Finding("ok", what, str(local))
    try:
        if (info := backbone_info(name)).file:
            return Finding("problem", what, "come as a file of their authors", info.way)
        cached, source = _imagenet(name)
    except (ValueError, RuntimeError, AttributeError) as error:
        return Finding("problem", what, f"there are none: {error}", "set weights: none or a local file")
    if cached is None:
        remedy = f"without a network: --set weights.{name}=FILE with the file of {source}"
        return Finding("warning", what, f"not on this machine; fetched at first use from {source}", remedy)
    return Finding("ok", what, str(cached))


def _imagenet(name: str) -> tuple[Path | None, str]:
    """The cached file of a network's ImageNet weights, None where it is not cached, and where it comes from."""
    if name in list_models(module=zoo):
        best = get_model_weights(name).DEFAULT  # type: ignore[attr-defined]
        return _in_hub(best.url), best.url
    config = timm.get_pretrained_cfg(name.removeprefix("timm/"))
    if config is not None and config.hf_hub_id:
        files = [
            try_to_load_from_cache(config.hf_hub_id, file)
            for file in ("model.safetensors", "pytorch_model.bin")
        ]
        return next(
            (Path(file) for file in files if isinstance(file, str)), None
        ), f"huggingface.co/{config.hf_hub_id}"
    if config is not None and isinstance(config.url, str) and config.url:
        return _in_hub(config.url), config.url
    raise ValueError("neither torchvision nor timm has any for this network")


def _in_hub(url: str) -> Path | None:
    """The file of an address in torch's cache."""
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    return file if file.is_file() else None


def _missing(pairs: Pairs) -> list[str]:
    """Named image files that do not exist."""
    if not isinstance(pairs.load, ImageFolder):
        return []
    folder = Path(pairs.load.folder)
    return [key for keys in pairs.keys for key in keys if key is not None and not (folder / key).is_file()]
