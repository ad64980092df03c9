"""A strip of test patients of the chosen trial, right ones and wrong ones, with heat maps where there are."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from study.evidence.cases import pick_cases
from study.evidence.heatmap_tables import GRAD_CAM
from study.reporting.deciding import decided
from study.reporting.overlays import Photo, RunHeatMaps, heat_over, heatmaps_of
from study.reporting.results import label_titles
from study.reporting.run import Run
from study.spec.errors import SpecError

NUM_PATIENTS = 6
Images = Mapping[str, tuple[str, ...]]  # data URIs of a sample's images, by sample


@dataclass(frozen=True, kw_only=True)
class Patient:
    """A test sample to look at.

    Attributes:
        sample: Name of the sample.
        images: Its images as data URIs.
        heat: The same with heat maps over them; empty where none were made.
        right: Whether every label is decided rightly.
        truth: What the sample carries.
        called: What the network says; the same words where it is right.
        shown: The label that the heat maps are about; empty without them.
    """

    sample: str
    images: tuple[str, ...]
    heat: tuple[str, ...] = ()
    right: bool
    truth: str
    called: str
    shown: str = ""


def strip_samples(run: Run) -> list[str]:
    """The test samples of the strip: half of them right where there are enough, drawn by a fixed rule."""
    judged = decided(run, run.best) if run.best else None
    if judged is None:
        return []
    heatmaps = _heatmaps_of_chosen(run)
    if heatmaps is not None:
        return heatmaps.right_first()[:NUM_PATIENTS]
    try:
        cases = pick_cases(judged.predictions, judged.decision, run.labels, (), NUM_PATIENTS, None)
    except SpecError:  # no sample carries a label
        return []
    return [case.sample for case in cases]


def patients_strip(run: Run, images: Images) -> list[Patient]:
    """The patients of the strip of whom there are images."""
    judged = decided(run, run.best) if run.best else None
    if judged is None:
        return []
    row_of = {sample: row for row, sample in enumerate(judged.predictions.sample)}
    heatmaps = _heatmaps_of_chosen(run)
    found = []
    for sample in strip_samples(run):
        true, called = judged.predictions.target[row_of[sample]] > 0, judged.decision[row_of[sample]]
        pictures, shown = images.get(sample, ()), ""
        heat: tuple[str, ...] = ()
        if heatmaps is not None:
            pictures, heat = _with_heat(heatmaps, sample)
            shown = heatmaps.label(sample)
        if pictures:
            found.append(
                Patient(
                    sample=sample,
                    images=pictures,
                    heat=heat,
                    right=bool((true == called).all()),
                    truth=_names(run, true),
                    called=_names(run, called),
                    shown=shown,
                )
            )
    return sorted(found, key=lambda patient: not patient.right)


def _names(run: Run, carried: np.ndarray) -> str:
    titles = label_titles(run)
    return ", ".join(titles[place] for place in np.flatnonzero(carried)) or "nothing"


def _heatmaps_of_chosen(run: Run) -> RunHeatMaps | None:
    """The heat maps of the chosen trial; None where there are none of it."""
    heatmaps = heatmaps_of(run)
    return heatmaps if heatmaps is not None and run.best == heatmaps.maps.trials[0] else None


def _with_heat(heatmaps: RunHeatMaps, sample: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The photographs of a sample, and the same under the heat of its label."""
    trial = heatmaps.maps.trials[0]
    photos = heatmaps.photos(trial, sample)
    heat = heatmaps.maps.of(trial, sample, GRAD_CAM, heatmaps.label(sample))
    greatest = max(float(part.max()) for part in heat.values())
    under = [heat_over(photo, heat[view], greatest) for view, photo in enumerate(photos)]
    return _uris(photos), _uris(under)


def _uris(photos: Sequence[Photo]) -> tuple[str, ...]:
    return tuple(data_uri(Image.fromarray(photo)) for photo in photos)


def data_uri(image: Image.Image) -> str:
    """A picture as text that stands inside of the page."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
