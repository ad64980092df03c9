"""A study before it begins: what it will take, and how many trials share a GPU, from a probe of each kind of trial."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from study.data.generated_images import check_generated
from study.data.pairs import Pairs
from study.data.source import open_dataset
from study.engine.forecast.capacity import Node, arrange
from study.engine.forecast.forecast import Forecast, ProbeKey, forecast, free_memory, gpu_share, image_bytes
from study.engine.forecast.generators import MeasureGenerator, measure_generator, probe_generators
from study.engine.forecast.probe import Measure, Probe, heaviest
from study.engine.training.checks import check_fits, check_suits
from study.spec.study_file import StudySpec
from study.spec.trial_spec import TrialSpec


def preview(
    spec: StudySpec,
    cache: Path,
    nodes: list[Node],
    measure: Measure,
    measure_made: MeasureGenerator = measure_generator,
) -> Forecast:
    """Probes a study without decoding an image or writing a record.

    Args:
        spec: the study.
        cache: folder of the image caches.
        nodes: where trials would run.
        measure: runs the probes, in a process of its own.
        measure_made: runs the probe of a generator, in this process, which would train it.

    Raises:
        StudyError: the study is wrong, or cannot fit this machine.
    """
    fillings, data = spec.corners(), spec.corners()[0].data
    pairs = open_dataset(data.dataset, data.root, num_patients=data.phantom_patients, unit=data.unit)
    for filling in fillings:
        check_suits(filling, pairs)
        check_fits(filling, pairs)
    every = [*fillings, *_variants(spec)]
    if any(filling.data.generated for filling in every):
        check_generated(pairs, np.arange(len(pairs)))
    generators = probe_generators(every, pairs, measure_made)
    probes = probe_kinds(spec, pairs, nodes, measure)
    share = gpu_share(list(probes.values()), image_bytes(fillings, pairs))
    found = forecast(
        spec, fillings, pairs, probes, arrange(spec.resources, nodes, share).concurrent, generators
    )
    if spec.resources.address == "local":
        found.require_fit(free_memory(), cache, spec.storage)
    return found


def measured_share(spec: StudySpec, pairs: Pairs, nodes: list[Node], measure: Measure) -> float:
    """The part of a GPU that a trial needs by its memory, where the study leaves it open; 1 without a GPU."""
    asked = spec.resources
    if asked.gpus_per_worker is not None or asked.workers > 1 or not any(node.gpus for node in nodes):
        return 1.0
    return gpu_share(
        list(probe_kinds(spec, pairs, nodes, measure).values()), image_bytes(spec.corners(), pairs)
    )


def probe_kinds(spec: StudySpec, pairs: Pairs, nodes: list[Node], measure: Measure) -> dict[ProbeKey, Probe]:
    """One probe of each backbone, image size and batch of the study."""
    kinds = heaviest([*spec.corners(), *_variants(spec)], pairs)
    labels = replace(pairs, load=_no_image)  # what decodes images need not travel
    threads = max(1, int(arrange(spec.resources, nodes).cpus_per_worker))
    return dict(zip(kinds, measure(list(kinds.values()), labels, threads), strict=True))


def _variants(spec: StudySpec) -> list[TrialSpec]:
    return [
        spec.variant(table, name, a.seeds[0], {})
        for table, a in spec.ablations.items()
        for name in a.variants
    ]


def _no_image(key: str) -> np.ndarray:
    raise LookupError(key)
