"""A paragraph of methods that can be pasted into a paper, made from the records.

What only a person can say is a gap in brackets. The order is that of the items of CLAIM (Tejani et al. 2024)
and TRIPOD+AI (Collins et al. 2024) that the records answer: data, split, preparation, model, training,
selection, statistics, software.
"""

from collections.abc import Mapping
from typing import Any

from study.reporting.deciding import threshold_words
from study.reporting.measures import full_name
from study.reporting.networks import network_words, parts_of
from study.reporting.redaction import without_folders
from study.reporting.results import label_titles, setting_words
from study.reporting.run import Run
from study.spec.wording import component_name

GAPS = (
    "[To be said by the authors: where, when and from whom the images were taken; who labelled them and how; "
    "inclusion and exclusion; approval and consent.]"
)
SHOWN_VERSIONS = ("python", "torch", "torchvision", "timm", "ray", "optuna", "scikit-learn", "numpy")


def methods(run: Run) -> list[str]:
    """The sentences by subject, unescaped; none where no trial was chosen."""
    if run.best is None:
        return []
    spec: Mapping[str, Any] = run.of_trial(run.best, "spec")
    parts = (
        _data(run),
        GAPS,
        _preparation(spec.get("data", {})),
        _model(run, run.best, spec),
        _search(run),
        _statistics(run),
        _software(run),
    )
    return [without_folders(part) for part in parts if part]


def _data(run: Run) -> str:
    counts: Mapping[str, Mapping[str, int]] = run.study["split_counts"]
    made = " (made-up images, not patients)" if run.synthetic else ""
    of_splits = ", ".join(f"{counts[name].get('patients', 0):,} {word}" for name, word in _splits(counts))
    both = "both eyes of each patient are one sample" if run.study["num_views"] == 2 else "one image a sample"
    skipped = {
        reason.replace("_", " "): len(found) for reason, found in run.study["skipped"].items() if found
    }
    left_out = "".join(f" Left out: {number:,} samples ({reason})." for reason, number in skipped.items())
    return (
        f"Data. We used {run.study['dataset']}{made}; {both}. The labels are {', '.join(label_titles(run))}. "
        f"Patients were split at random, stratified over the labels, so that no patient is in two splits: "
        f"{of_splits}.{left_out}"
    )


def _splits(counts: Mapping[str, object]) -> list[tuple[str, str]]:
    words = {"train": "for training", "val": "for validation", "test": "for the test"}
    return [(name, word) for name, word in words.items() if name in counts]


def _preparation(data: Mapping[str, Any]) -> str:
    if not data:
        return ""
    augmentation = {
        key: value for key, value in data.get("augmentation", {}).items() if value and key != "cutmix"
    }
    listed = ", ".join(
        f"{key.replace('_', ' ')} {setting_words(value)}" for key, value in augmentation.items()
    )
    return (
        f"Preparation. Images were cropped ({data.get('crop')}) and resized to {data.get('image_px')} "
        f"pixels; correction of the light: {component_name(data.get('illumination', 'none'))}; orientation: "
        f"{data.get('align')}. Augmentation: {listed or 'none'}."
    )


def _model(run: Run, best: str, spec: Mapping[str, Any]) -> str:
    training, optimiser = spec.get("training", {}), spec.get("optimiser", {})
    rates = ", ".join(f"{key.replace('_', ' ')} {setting_words(value)}" for key, value in optimiser.items())
    epochs = int(run.of_trial(best, "num_epochs"))
    return (
        f"Model. The chosen network is {network_words(parts_of(run, best))}. It was trained for {epochs} "
        f"epochs in batches of {training.get('batch_size', '[?]')} ({rates or '[optimiser]'}); the epoch "
        f"with the best validation value, {int(run.of_trial(best, 'best_epoch'))}, was kept."
    )


def _search(run: Run) -> str:
    search = run.study["spec"].get("search", {})
    trials = run.of_role("search")
    if trials.empty:
        return ""
    states = trials["state"].value_counts()
    counted = ", ".join(f"{number} {state}" for state, number in states.items())
    return (
        f"Selection. {len(trials)} trials ({counted}) over {len(run.study['search_space'])} parameters were "
        f"drawn by {component_name(search.get('sampler', '[sampler]'))} with the pruner "
        f"{component_name(search.get('pruner', '[pruner]'))}. The trial with the best "
        f"{full_name(run.objective)} on validation was chosen. The test split took no part in any choice."
    )


def _statistics(run: Run) -> str:
    decided = f" Labels were decided {threshold_words(run)}." if threshold_words(run) else ""
    return (
        "Statistics. Intervals are 95 % intervals over patients, whose samples stay together; "
        "differences are paired on the same patients, and the tests of a table are corrected by Holm's "
        f"method.{decided}"
    )


def _software(run: Run) -> str:
    record: Mapping[str, Any] = next(iter(run.trials["provenance"]), {})
    versions = {"python": record.get("python"), **(record.get("versions") or {})}
    listed = ", ".join(f"{name} {versions[name]}" for name in SHOWN_VERSIONS if versions.get(name))
    commit = str(record.get("commit") or "")[:12]
    devices = ", ".join(dict.fromkeys(str(device) for device in run.trials["device"] if device))
    return (
        f"Software. {listed or '[versions]'}; code at commit {commit or '[commit]'}; trained on "
        f"{devices or '[device]'}. Data fingerprint {str(run.study['data_fingerprint'])[:12]}, split "
        f"{str(run.study['split_hash'])[:12]}."
    )
