"""A trial's network as a file of its own, which needs nothing of this project: for torch, or as ONNX."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.siamese import SiameseNet
from study.data.cohort import SplitImages
from study.data.preprocessing import NORMALISE
from study.engine.applying.apply import ChosenTrial, batches_of, stored_network
from study.evidence.predictions import NETWORK
from study.evidence.store import Store
from study.spec.errors import SpecError, StorageError

TOLERANCE = 1e-4  # of a probability
PREPARATION = {"image_px", "crop", "crop_box", "fit", "illumination"}
SETTINGS = "settings.json"  # in the file: labels, thresholds and preparation
INPUT, OUTPUT = "images", "probabilities"  # their names in ONNX

Apply = Callable[[Tensor], Tensor]
"""Gives the probabilities "b l" of images "b v 3 px px" in 0 to 1."""


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
    samples: SplitImages | None,
) -> float:
    """Writes the network for any number of samples, reads the file again, and checks what it gives.

    Args:
        store: The run.
        trial: A trial that has kept its weights and whose network's own head gave its value.
        study: The study's row.
        thresholds: Threshold of each label.
        path: The file: `.pt2` for `torch.export.load`, `.onnx` for any runtime of ONNX.
        samples: Samples on which the file must give what the trial gives; None takes two images of noise.

    Returns:
        The greatest distance of a probability from that of the original.

    Raises:
        SpecError: Another head gave the trial its value, the file has another ending, packages are missing,
            a part of the network cannot be written, or the file written does not give the same.
        StorageError: The weights were not kept, or the file cannot be written.
    """
    if trial.head != NETWORK:
        raise SpecError(
            "`--export`: needs a trial whose network's own head was chosen, "
            f"got {trial.head} for {trial.key}. Name another one with --trial."
        )
    if path.suffix not in WRITERS:
        raise SpecError(f"`--export`: must end with {' or '.join(WRITERS)}, got `{path}`. Name another file.")
    num_labels, num_views = len(thresholds), int(str(study["num_views"]))
    net = stored_network(store, trial.key, trial.spec, num_labels, num_views).eval()
    data = trial.spec.data
    module = Exported(net, data.normalise, data.align).eval()
    shape = (3, num_views, 3, data.image_px, data.image_px)
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    settings = {
        "labels": list(np.asarray(study["labels"])),
        "thresholds": [float(value) for value in thresholds],
        "input": f"images in 0 to 1, left eye first: n x {' x '.join(map(str, shape[1:]))}",
        "preparation": data.model_dump(mode="json", include=PREPARATION),
        "trial": trial.key,
        "study": str(study["study"]),
    }
    try:
        with torch.no_grad():
            apply = WRITERS[path.suffix](module, noise, json.dumps(settings, indent=2), path)
    except OSError as error:
        raise StorageError(
            f"`--export`: must be a file that can be written, got `{path}` ({error}). Name another one."
        ) from None
    checks = _of_noise(module, noise[:2]) if samples is None else _of_samples(net, trial, samples)
    with torch.no_grad():
        distances = [float((apply(images) - wanted).abs().max()) for images, wanted in checks]
    distance = float(np.max(distances))  # not a number, where one of them is not
    if not distance <= TOLERANCE:
        path.unlink()
        raise SpecError(
            f"`{path}`: must give the probabilities of the trial to {TOLERANCE:g}, got {distance:g} off. "
            "Report it, with the study file."
        )
    return distance


def _of_noise(module: Exported, noise: Float[Tensor, "b v 3 px px"]) -> Iterator[tuple[Tensor, Tensor]]:
    yield noise, module(noise)


def _of_samples(net: SiameseNet, trial: ChosenTrial, samples: SplitImages) -> Iterator[tuple[Tensor, Tensor]]:
    """Images in 0 to 1, and the probabilities that the network gives for what the trial made of them."""
    cache = samples.images
    for batch in batches_of(trial, cache, samples.rows, torch.device("cpu")):
        pixels = torch.from_numpy(cache.images[cache.index[batch.rows.numpy()]])
        yield pixels.movedim(-1, 2).float() / 255, net.head.scores(net(batch.images).logits)


def _write_for_torch(module: Exported, images: Tensor, settings: str, path: Path) -> Apply:
    any_number = {INPUT: {0: torch.export.Dim("n")}}
    program = torch.export.export(module, (images,), dynamic_shapes=any_number)
    with path.open("wb") as file:
        torch.export.save(program, file, extra_files={SETTINGS: settings})
    read: Apply = torch.export.load(path).module()
    return read


def _write_onnx(module: Exported, images: Tensor, settings: str, path: Path) -> Apply:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  torch writes ONNX with it
    except ImportError as error:
        raise SpecError(
            f"`--export`: ONNX needs packages that are not installed, got `{error}`. Install them: "
            "uv sync --extra onnx"
        ) from None
    try:
        program = torch.onnx.export(
            module,
            (images,),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={INPUT: {0: torch.export.Dim("n")}},
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise SpecError(
            f"`--export`: every part of the network must exist in ONNX, got {reason} Write a .pt2 instead."
        ) from None
    assert program is not None  # it is None only where a file is named
    program.model.metadata_props[SETTINGS] = settings
    program.save(path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])


WRITERS: dict[str, Callable[[Exported, Tensor, str, Path], Apply]] = {
    ".pt2": _write_for_torch,
    ".onnx": _write_onnx,
}
"""What writes a file and reads it again, by the ending of its name."""
