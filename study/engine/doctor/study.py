"""What usually goes wrong with one study on one machine: its storage, its data, its weights."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import timm
import torch
from huggingface_hub import try_to_load_from_cache
from torchvision import models as zoo
from torchvision.models import get_model_weights, list_models

from models.backbones import StagedBackbone
from models.backbones._info import backbone_info
from study.data.images import ImageFolder
from study.data.pairs import Pairs
from study.data.source import open_dataset
from study.engine.doctor.machine import Finding
from study.engine.forecast.forecast import free_disk
from study.engine.start.keeping import frozen_backbones
from study.engine.training.network import load_backbone
from study.evidence.store import Store
from study.spec.errors import DataError, StorageError, StudyError
from study.spec.section import is_uri
from study.spec.study_file import StudySpec
from study.spec.trial_spec import TrialSpec
from study.spec.wording import size_text


def check_study(spec: StudySpec, cache: Path) -> list[Finding]:
    """All findings of a study file that was read without an error.

    Args:
        spec: The study.
        cache: Folder of all caches.
    """
    trials = spec.trials_to_check()
    findings = [check_storage(spec.storage), *check_data(trials[0])]
    backbones = {(trial.model.backbone.name, trial.model.backbone.weights): trial for trial in trials}
    for (name, weights), trial in backbones.items():
        if weights != "none":
            found = check_weights(name, weights, trial.weights.get(name))
            of_a_file = weights != "imagenet" or name in trial.weights
            findings += [found, *(check_taken(trial) if of_a_file and found.state == "ok" else ())]
    return findings + check_frozen([*trials, *spec.finetuned_trials()], spec.resources.features_gb, cache)


def check_frozen(trials: Sequence[TrialSpec], most_gb: float, cache: Path) -> list[Finding]:
    """Frozen backbones run once for each image, and the disk has room for what they give.

    Args:
        trials: Trials that stand for all of the study.
        most_gb: `resources.features_gb`.
        cache: Folder of all caches.
    """
    what = "frozen backbone"
    try:
        pairs = open_dataset(trials[0].data)
        backbones = frozen_backbones(trials, pairs, most_gb)
    except DataError:  # a finding of its own
        return []
    except StudyError as error:
        return [Finding("problem", what, str(error), "correct what is named")]
    room = free_disk(cache)
    findings = [Finding("ok" if found.num_bytes else "warning", what, str(found)) for found in backbones]
    if sum(found.num_bytes for found in backbones) > room:
        remedy = "free some, set STUDY_CACHE to another folder, or lower resources.features_gb"
        findings.append(Finding("problem", what, f"{size_text(room)} free at {cache}", remedy))
    return findings


def check_storage(storage: str) -> Finding:
    """Results can be written; a folder that does not exist yet is not made."""
    what, remedy = "storage", "choose another place with --storage"
    if is_uri(storage):
        try:
            Store(storage).check_writable()
        except StorageError as error:
            return Finding("problem", what, str(error), remedy)
        return Finding("ok", what, f"{storage} can be written")
    folder = Path(storage).expanduser().absolute()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=existing):
            pass
    except OSError as error:
        return Finding("problem", what, f"{existing} cannot be written: {error.strerror}", remedy)
    return Finding("ok", what, f"{folder} can be written")


def check_data(trial: TrialSpec) -> list[Finding]:
    """The data set can be read, its files are there, and its first image can be decoded."""
    what, data = "data", trial.data
    try:
        pairs = open_dataset(data)
        pairs.load(next(key for key in pairs.keys[0] if key is not None))
    except DataError as error:
        return [Finding("problem", what, str(error), "correct data.root, or the file that is named")]
    found = f"{pairs.dataset}, {pairs.table['patient'].nunique()} patients"
    if pairs.synthetic and data.dataset.name != "phantom":
        found = f"no root for {data.dataset.name}: SYNTHETIC images stand in"
        remedy = f"--set data.root=FOLDER, or STUDY_ROOT_{data.dataset.name.upper()} in the environment"
        return [Finding("warning", what, found, remedy)]
    missing = _missing(pairs)
    if missing:
        found = f"{found}; {len(missing)} images are missing: {', '.join(missing[:3])}"
        remedy = "restore them, or data.on_bad_image: skip"
        return [Finding("problem" if data.on_bad_image == "error" else "warning", what, found, remedy)]
    return [Finding("ok", what, f"{found}, all files there")]


def check_weights(name: str, weights: str, given: Path | None) -> Finding:
    """Pretrained weights are on this machine; nothing is fetched to find out.

    Args:
        name: Name of the backbone.
        weights: `imagenet`, or the path of a local file.
        given: A local file that the study names for the ImageNet weights; None where it names none.
    """
    what = f"weights of {name}"
    local = given if weights == "imagenet" else Path(weights)
    if local is not None:
        if not local.is_file():
            return Finding("problem", what, f"{local} is not there", "put the file there, or name another")
        return Finding("ok", what, str(local))
    try:
        info = backbone_info(name)
        if info.file:
            return Finding("problem", what, "come as a file of their authors", info.way)
        cached, source = _imagenet(name)
    except (ValueError, RuntimeError, AttributeError) as error:
        return Finding("problem", what, f"there are none: {error}", "set weights: none or a local file")
    if cached is None:
        found = f"not on this machine; fetched at first use from {source}"
        remedy = f"without a network: --set weights.{name}=FILE with the file of {source}"
        return Finding("warning", what, found, remedy)
    return Finding("ok", what, str(cached))


def check_taken(trial: TrialSpec) -> list[Finding]:
    """The weights of a file fit the network; a line for each kind of what became of its tensors.

    Args:
        trial: A trial with pretrained weights that are on this machine.
    """
    what = f"weights of {trial.model.backbone.name}"
    try:
        backbone = load_backbone(trial)
    except StudyError as error:
        return [Finding("problem", what, str(error), "name the backbone that the file was made for")]
    taken = backbone.taken if isinstance(backbone, StagedBackbone) else None
    return [Finding("ok", what, line) for line in taken.lines()] if taken else []


def _imagenet(name: str) -> tuple[Path | None, str]:
    """The cached file of a network's ImageNet weights, None where it is not cached, and its source.

    Raises:
        ValueError: There are no such weights.
    """
    if name in list_models(module=zoo):
        best = get_model_weights(name)["DEFAULT"]
        return _in_torch_cache(best.url), best.url
    config = timm.get_pretrained_cfg(name.removeprefix("timm/"))
    if config is not None and config.hf_hub_id:
        return _in_hub_cache(config.hf_hub_id), f"huggingface.co/{config.hf_hub_id}"
    if config is not None and isinstance(config.url, str) and config.url:
        return _in_torch_cache(config.url), config.url
    raise ValueError("neither torchvision nor timm has any for this network")


def _in_torch_cache(url: str) -> Path | None:
    """The file of an address in torch's cache; None where it is not there."""
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    return file if file.is_file() else None


def _in_hub_cache(repository: str) -> Path | None:
    """The weights of a repository in the cache of the Hugging Face hub; None where they are not there."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        file = try_to_load_from_cache(repository, name)
        if isinstance(file, str):
            return Path(file)
    return None


def _missing(pairs: Pairs) -> list[str]:
    """Keys of image files that do not exist."""
    if not isinstance(pairs.load, ImageFolder):
        return []
    folder = Path(pairs.load.folder)
    return [key for keys in pairs.keys for key in keys if key is not None and not (folder / key).is_file()]
