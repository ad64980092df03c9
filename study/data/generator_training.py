"""Generators of images, one a class: trained once, kept beside the image cache, found again by what they are made of."""

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

VERSION = 1  # raised when the same settings give other images
WEIGHTS, SEEN, SHEET = "generators.safetensors", "generators.json", "sheet.png"
CHUNK = 64  # images at a time
SHOWN = 8  # real and generated images of each class on the contact sheet


@dataclass(frozen=True, eq=False)
class Sources:
    """What generators are trained on.

    Attributes:
        images: the real images, of all splits.
        rows: positions of the training samples, the only ones whose images are looked at.
        classes: class of each of them.
        split_hash: of the split that `rows` come from.
    """

    images: ImageCache
    rows: Int[np.ndarray, " n"]
    classes: Int[np.ndarray, " n"]
    split_hash: str

    def pixels(self, rows: Int[np.ndarray, " k"]) -> UInt8[np.ndarray, "k px px 3"]:
        """The images of some samples."""
        pixels: UInt8[np.ndarray, "k px px 3"] = self.images.images[self.images.index[rows, 0]]
        return pixels

    def scaled(self, rows: Int[np.ndarray, " k"], image_px: int) -> Float[Tensor, "k 3 h w"]:
        """The images of some samples in -1 to 1, at another size."""
        parts = []
        for start in range(0, len(rows), CHUNK):
            pixels = (
                torch.from_numpy(self.pixels(rows[start : start + CHUNK])).permute(0, 3, 1, 2).float() / 127.5
                - 1
            )
            parts.append(
                functional.interpolate(pixels, (image_px, image_px), mode="bilinear", antialias=True)
            )
        return torch.cat(parts)


def train_generators(
    sources: Sources,
    wanted: GeneratedSpec,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """The folder of the trained generators, which are trained where it is not there yet, by one process while others wait.

    Beside the weights it holds `generators.json`, what each class's generator saw and its last losses, and `sheet.png`, real
    images (odd rows) above generated ones (even rows) of each class.

    Args:
        sources: the training images.
        wanted: generator, epochs and seed.
        device: where they are trained.
        progress: called with epochs done and their total over all classes.

    Raises:
        SpecError: an argument of the generator is out of its range.
        DataError: a loss became infinite.
        StorageError: the folder cannot be written.
    """
    settings = (wanted.generator.model_dump_json(), wanted.epochs, wanted.seed)
    home = (
        sources.images.folder.parent
        / f"generator-{digest(VERSION, sources.images.folder.name, sources.split_hash, *settings)[:20]}"
    )
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
    pairs, seen, sheet = sources.images.pairs, {}, []
    weights: dict[str, Tensor] = {}
    for number, label in enumerate(pairs.labels):
        rows, done = sources.rows[sources.classes == number], number * wanted.epochs
        net = new_generator(wanted, number)
        for epoch, losses in enumerate(_train(net.to(device), sources, rows, wanted, number), start=1):
            if not all(map(math.isfinite, losses)):
                raise DataError(
                    f"`data.generated`: the generator of {label} must stay finite, got a loss of {losses} in epoch {epoch}."
                )
            if progress:
                progress(done + epoch, len(pairs.labels) * wanted.epochs)
        weights |= {
            f"{number}.{name}": tensor.cpu().contiguous() for name, tensor in net.state_dict().items()
        }
        seen[label] = {"samples": pairs.table["sample"].iloc[rows].tolist(), "losses": losses}
        sheet += [
            sources.pixels(rows[:SHOWN]),
            next(made(net.cpu(), SHOWN, wanted, number, sources.images.images.shape[1])),
        ]
    save_file(weights, folder / WEIGHTS)
    (folder / SEEN).write_text(json.dumps(seen), encoding="utf-8")
    _sheet(sheet).save(folder / SHEET)


def new_generator(wanted: GeneratedSpec, number: int) -> Any:
    """An untrained generator of a class; the process's own random state stays as it was.

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
        start = f"{number}."
        net.load_state_dict(
            {name.removeprefix(start): tensor for name, tensor in weights.items() if name.startswith(start)}
        )
    return nets


def made(
    net: Any, num: int, wanted: GeneratedSpec, number: int, image_px: int
) -> Iterator[UInt8[np.ndarray, "k px px 3"]]:
    """Generated images of a class, some at a time; more of them begin with the same ones.

    Args:
        net: the class's generator, on the processor, so that a GPU's rounding does not show.
        num: how many images.
        wanted: whose seed decides the noise.
        number: of the class.
        image_px: side of the images in pixels.
    """
    for start in range(0, num, CHUNK):
        images = net.sample(CHUNK, image_px, seed=_seed(wanted.seed, number, 1 + start))[: num - start]
        yield (
            ((images + 1) * 127.5)
            .round()
            .clamp(0, 255)
            .to(torch.uint8)
            .permute(0, 2, 3, 1)
            .contiguous()
            .numpy()
        )


def _train(
    net: Any, sources: Sources, rows: Int[np.ndarray, " k"], wanted: GeneratedSpec, number: int
) -> Iterator[tuple[float, ...]]:
    """Trains a class's generator, yielding its losses after each epoch; on a GPU too the same seed gives the same weights."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=True):
        yield from net.train_on(
            sources.scaled(rows, net.image_px), epochs=wanted.epochs, seed=_seed(wanted.seed, number)
        )


def _sheet(rows: list[UInt8[np.ndarray, "_ px px 3"]]) -> Image.Image:
    """Rows of images, filled up with black."""
    lines = [
        np.concatenate([*row, *np.zeros((SHOWN - len(row), *row.shape[1:]), np.uint8)], axis=1)
        for row in rows
    ]
    return Image.fromarray(np.concatenate(lines))


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
