"""Generators of images, one a class: trained once and kept beside the image cache."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from study.data.build_once import build_once
from study.data.cache import ImageCache
from study.data.pairs import digest
from study.spec.components import build
from study.spec.data_section import GeneratedSpec
from study.spec.errors import DataError, SpecError

GENERATOR_VERSION = 1  # raised when the same settings give other images
WEIGHTS, TRAINED_ON, CONTACT_SHEET = "generators.safetensors", "generators.json", "sheet.png"
IMAGES_AT_A_TIME = 64
SHEET_COLUMNS = 8  # real and generated images of each class on the contact sheet


@dataclass(frozen=True, eq=False)
class Sources:
    """What generators are trained on.

    Attributes:
        images: The real images, of all splits.
        rows: Positions of the training samples; no other image is looked at.
        classes: Class of each training sample.
        split_hash: Hash of the split that `rows` come from.
    """

    images: ImageCache
    rows: Int[np.ndarray, " n"]
    classes: Int[np.ndarray, " n"]
    split_hash: str

    @property
    def image_px(self) -> int:
        """Side of the images in pixels."""
        return int(self.images.images.shape[1])

    def pixels(self, rows: Int[np.ndarray, " k"]) -> UInt8[np.ndarray, "k px px 3"]:
        """The images of some samples."""
        pixels: UInt8[np.ndarray, "k px px 3"] = self.images.images[self.images.index[rows, 0]]
        return pixels

    def scaled(self, rows: Int[np.ndarray, " k"], image_px: int) -> Float[Tensor, "k 3 h w"]:
        """The images of some samples in -1 to 1, at another size."""
        size = (image_px, image_px)
        parts = []
        for start in range(0, len(rows), IMAGES_AT_A_TIME):
            pixels = torch.from_numpy(self.pixels(rows[start : start + IMAGES_AT_A_TIME]))
            scaled = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
            parts.append(functional.interpolate(scaled, size, mode="bilinear", antialias=True))
        return torch.cat(parts)


def train_generators(
    sources: Sources,
    wanted: GeneratedSpec,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """The folder of the trained generators; where it does not exist, one process trains them, others wait.

    Beside the weights it holds `generators.json` (the samples that each class's generator was trained on, and
    its last losses) and `sheet.png` (real images in odd rows and generated ones in even rows, of each class).

    Args:
        sources: The training images.
        wanted: Generator, epochs and seed.
        device: Where they are trained.
        progress: Called with the number of epochs done and their total over all classes.

    Raises:
        SpecError: an argument of the generator is out of its range.
        DataError: a loss became infinite.
        StorageError: the folder cannot be written.
    """
    settings = (wanted.generator.model_dump_json(), wanted.epochs, wanted.seed)
    folder = sources.images.folder
    key = digest(GENERATOR_VERSION, folder.name, sources.split_hash, *settings)[:20]
    home = folder.parent / f"generator-{key}"
    build_once(home, WEIGHTS, partial(_write, sources, wanted, device, progress))
    return home


def _write(
    sources: Sources,
    wanted: GeneratedSpec,
    device: torch.device,
    progress: Callable[[int, int], None] | None,
    folder: Path,
) -> None:
    """Trains the generators of all classes into a folder."""
    pairs = sources.images.pairs
    weights: dict[str, Tensor] = {}
    trained_on, sheet_rows = {}, []
    for number, label in enumerate(pairs.labels):
        rows, done = sources.rows[sources.classes == number], number * wanted.epochs
        net = new_generator(wanted, number)
        for epoch, losses in enumerate(_train(net.to(device), sources, rows, wanted, number), start=1):
            if not all(map(math.isfinite, losses)):
                raise DataError(
                    f"`data.generated`: the generator of {label} must stay finite, "
                    f"got a loss of {losses} in epoch {epoch}. Take another generator or other images."
                )
            if progress:
                progress(done + epoch, len(pairs.labels) * wanted.epochs)
        for name, tensor in net.state_dict().items():
            weights[f"{number}.{name}"] = tensor.cpu().contiguous()
        trained_on[label] = {"samples": pairs.table["sample"].iloc[rows].tolist(), "losses": losses}
        sheet_rows.append(sources.pixels(rows[:SHEET_COLUMNS]))
        sheet_rows.append(next(generate(net.cpu(), SHEET_COLUMNS, wanted, number, sources.image_px)))
    save_file(weights, folder / WEIGHTS)
    (folder / TRAINED_ON).write_text(json.dumps(trained_on), encoding="utf-8")
    _contact_sheet(sheet_rows).save(folder / CONTACT_SHEET)


def new_generator(wanted: GeneratedSpec, number: int) -> Any:
    """An untrained generator of a class; the random state of the process does not change.

    Args:
        wanted: The generator and its seed.
        number: Number of the class.

    Raises:
        SpecError: an argument of the generator is out of its range.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_seed(wanted.seed, number))
        try:
            return build("generator", wanted.generator)
        except ValueError as error:
            raise SpecError(f"`data.generated.generator`: {error}") from None


def load_generators(home: Path, wanted: GeneratedSpec, num_classes: int) -> list[nn.Module]:
    """The trained generators of a folder, one a class."""
    weights = load_file(home / WEIGHTS)
    nets = [new_generator(wanted, number) for number in range(num_classes)]
    for number, net in enumerate(nets):
        prefix = f"{number}."
        own = {name: tensor for name, tensor in weights.items() if name.startswith(prefix)}
        net.load_state_dict({name.removeprefix(prefix): tensor for name, tensor in own.items()})
    return nets


def generate(
    net: Any, num: int, wanted: GeneratedSpec, number: int, image_px: int
) -> Iterator[UInt8[np.ndarray, "k px px 3"]]:
    """Generated images of a class, in blocks; the first images do not depend on how many are wanted.

    Args:
        net: The class's generator, on the CPU, so that the images do not depend on the rounding of a GPU.
        num: Number of images.
        wanted: Its seed decides the noise that images are made of.
        number: Number of the class.
        image_px: Side of the images in pixels.
    """
    for start in range(0, num, IMAGES_AT_A_TIME):
        seed = _seed(wanted.seed, number, 1 + start)
        images = net.sample(IMAGES_AT_A_TIME, image_px, seed=seed)[: num - start]
        pixels = ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        yield pixels.permute(0, 2, 3, 1).contiguous().numpy()


def _train(
    net: Any, sources: Sources, rows: Int[np.ndarray, " k"], wanted: GeneratedSpec, number: int
) -> Iterator[tuple[float, ...]]:
    """Trains a class's generator and yields its losses after each epoch.

    On a GPU, too, the same seed gives the same weights.
    """
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=True):
        yield from net.train_on(
            sources.scaled(rows, net.image_px), epochs=wanted.epochs, seed=_seed(wanted.seed, number)
        )


def _contact_sheet(rows: list[UInt8[np.ndarray, "_ px px 3"]]) -> Image.Image:
    """Rows of images, short ones filled up with black."""
    strips = []
    for row in rows:
        black = np.zeros((SHEET_COLUMNS - len(row), *row.shape[1:]), np.uint8)
        strips.append(np.concatenate([*row, *black], axis=1))
    return Image.fromarray(np.concatenate(strips))


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
