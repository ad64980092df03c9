"""A trial's network as a file of its own, which needs torch and nothing of this project."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.siamese import SiameseNet
from study.data.preprocessing import NORMALISE
from study.engine.applying.apply import ChosenTrial, stored_network
from study.evidence.predictions import NETWORK
from study.evidence.store import Store
from study.spec.errors import SpecError, StorageError

TOLERANCE = 1e-4  # of a probability
PREPARATION = {"image_px", "crop", "crop_box", "fit", "illumination"}
SETTINGS = "settings.json"  # in the file: labels, thresholds and preparation


class Exported(nn.Module):
    """Probabilities of a trial from its prepared images: aligned, normalised, encoded, scored."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, net: SiameseNet, normalise: str, align: str) -> None:
        super().__init__()
        self.net, self.flips = net, align == "flip_right"
        mean, deviation = (torch.tensor(values)[:, None, None] for values in NORMALISE[normalise])
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def forward(self, images: Float[Tensor, "b v 3 px px"]) -> Float[Tensor, "b l"]:
        """The probability of each label.

        Args:
            images: Images in 0 to 1, cropped and resized as the file's settings say.
        """
        if self.flips:
            images = torch.stack([images[:, 0], images[:, 1].flip(-1)], dim=1)
        scores: Tensor = self.net.head.scores(self.net((images - self.mean) / self.deviation).logits)
        return scores


def export_network(
    store: Store,
    trial: ChosenTrial,
    study: Mapping[str, object],
    thresholds: Float[np.ndarray, " l"],
    path: Path,
) -> float:
    """Writes the network for `torch.export.load`, for any number of samples, and checks what was written.

    Args:
        store: The run.
        trial: A trial that has kept its weights and whose network's own head gave its value.
        study: The study's row.
        thresholds: Threshold of each label.
        path: The file, with the ending `.pt2`.

    Returns:
        The greatest distance of a probability from that of the original.

    Raises:
        SpecError: Another head gave the trial its value, or the file written does not give the same.
        StorageError: The weights were not kept, or the file cannot be written.
    """
    if trial.head != NETWORK:
        raise SpecError(
            "`--export`: needs a trial whose network's own head was chosen, "
            f"got {trial.head} for {trial.key}. Name another one with --trial."
        )
    labels, num_views = list(np.asarray(study["labels"])), int(str(study["num_views"]))
    net = stored_network(store, trial.key, trial.spec, len(labels), num_views).eval()
    data = trial.spec.data
    module = Exported(net, data.normalise, data.align).eval()
    shape = (3, num_views, 3, data.image_px, data.image_px)
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    settings = {
        "labels": labels,
        "thresholds": [float(value) for value in thresholds],
        "input": f"images in 0 to 1, left eye first: n x {' x '.join(map(str, shape[1:]))}",
        "preparation": data.model_dump(mode="json", include=PREPARATION),
        "trial": trial.key,
        "study": str(study["study"]),
    }
    distance = _write(module, images, json.dumps(settings, indent=2), path)
    if distance > TOLERANCE:
        raise SpecError(
            f"`{path}`: must give the probabilities of the trial to {TOLERANCE:g}, got {distance:g} off. "
            "Report it, with the study file."
        )
    return distance


def _write(module: Exported, images: Float[Tensor, "b v 3 px px"], settings: str, path: Path) -> float:
    """Writes the file, reads it again, and gives the greatest distance of its probabilities."""
    with torch.no_grad():
        any_number = {"images": {0: torch.export.Dim("n")}}
        program = torch.export.export(module, (images,), dynamic_shapes=any_number)
        wanted = module(images[:2])
        try:
            torch.export.save(program, path, extra_files={SETTINGS: settings})
            found = torch.export.load(path).module()(images[:2])
        except OSError as error:
            raise StorageError(
                f"`--export`: must be a file that can be written, got `{path}` ({error}). Name another one."
            ) from None
    return float((found - wanted).abs().max())
