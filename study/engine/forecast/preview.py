"""A study before it begins: what it will take, and how many trials share a GPU.

Both follow from a probe of each kind of trial.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from study.data.generated_images import check_generated
from study.data.pairs import Pairs
from study.data.source import open_dataset
from study.engine.forecast.capacity import Node, arrange
from study.engine.forecast.features import keeping
from study.engine.forecast.forecast import Forecast, forecast, free_memory, gpu_share, image_bytes
from study.engine.forecast.generators import MeasureGenerator, measure_generator, probe_generators
from study.engine.forecast.probe import Measure, Probe, ProbeKey, heaviest
from study.engine.training.checks import check_fits, check_suits
from study.spec.study_file import StudySpec


def preview(
    spec: StudySpec,
    cache: Path,
    nodes: list[Node],
    measure: Measure,
    measure_images: MeasureGenerator = measure_generator,
) -> Forecast:
    """Forecasts a study without decoding an image or writing a record.

    Args:
        spec: The study.
        cache: Folder of the image caches.
        nodes: Where trials would run.
        measure: Runs the probes of trials, in a process of its own.
        measure_images: Runs the probe of a generator, in this process, which would train it.

    Raises:
        StudyError: The study is wrong, or cannot fit this machine.
    """
    searched = spec.corners()
    trials = spec.trials_to_check()
    pairs = open_dataset(searched[0].data)
    for trial in searched:
        check_suits(trial, pairs)
        check_fits(trial, pairs)
    if any(trial.data.generated for trial in trials):
        check_generated(pairs, np.arange(len(pairs)))
    generators = probe_generators(trials, pairs, measure_images)
    probes = probe_kinds(spec, pairs, nodes, measure)
    share = gpu_share(list(probes.values()), _resident_bytes(spec, pairs, probes))
    concurrent = arrange(spec.resources, nodes, share).concurrent
    foreseen = forecast(spec, searched, pairs, probes, concurrent, generators)
    if spec.resources.address == "local":
        foreseen.require_fit(free_memory(), cache, spec.storage)
    return foreseen


def measured_share(spec: StudySpec, pairs: Pairs, nodes: list[Node], measure: Measure) -> float:
    """The part of a GPU that a trial needs by its memory, where the study leaves it open; 1 without a GPU."""
    asked = spec.resources
    if asked.gpus_per_worker is not None or asked.workers > 1 or not any(node.gpus for node in nodes):
        return 1.0
    probes = probe_kinds(spec, pairs, nodes, measure)
    return gpu_share(list(probes.values()), _resident_bytes(spec, pairs, probes))


def _resident_bytes(spec: StudySpec, pairs: Pairs, probes: Mapping[ProbeKey, Probe]) -> list[int]:
    """Bytes of what trials keep on a GPU, the largest first."""
    trials = [*spec.corners(), *spec.finetuned_trials()]
    kept = keeping(trials, pairs, probes, spec.resources.features_gb)
    return sorted([*image_bytes(trials, pairs), *kept.set_bytes], reverse=True)


def probe_kinds(spec: StudySpec, pairs: Pairs, nodes: list[Node], measure: Measure) -> dict[ProbeKey, Probe]:
    """One probe of each backbone, image size and batch of the study."""
    trials = heaviest([*spec.trials_to_check(), *spec.finetuned_trials()], pairs)
    labels = replace(pairs, load=_no_image)  # what decodes images need not travel
    threads = max(1, int(arrange(spec.resources, nodes).cpus_per_worker))
    probes = measure(list(trials.values()), labels, threads)
    return dict(zip(trials, probes, strict=True))


def _no_image(key: str) -> np.ndarray:
    raise LookupError(key)
