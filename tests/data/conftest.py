from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from study.data.images import ImageFolder
from study.data.pairs import Pairs, pairs_table


@pytest.fixture
def write_image() -> Callable[..., Path]:
    def write(path: Path, value: int = 128, size: tuple[int, int] = (24, 20)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.zeros((size[1], size[0], 3), dtype=np.uint8)
        pixels[2:-2, 2:-2] = (value, value // 2, value // 4)
        Image.fromarray(pixels).save(path)
        return path

    return write


@pytest.fixture
def make_pairs() -> Callable[..., Pairs]:
    """Makes pairs with given targets.

    Images are files below `folder` that are named after the sample; they need not exist.
    """

    def make(
        targets: object, folder: Path = Path("nowhere"), patients: list[str] | None = None, **changes: object
    ) -> Pairs:
        values = np.array(targets, dtype=np.int8)
        names = [f"s{i}" for i in range(len(values))]
        fields: dict[str, object] = {
            "dataset": "made",
            "labels": tuple("abcdefgh"[: values.shape[1]]),
            "kind": "multilabel",
            "num_views": 2,
            "table": pairs_table(
                names, patients or names, [f"{s}_left.png" for s in names], [f"{s}_right.png" for s in names]
            ),
            "targets": values,
            "view_targets": np.repeat(values[:, None], 2, axis=1),
            "synthetic": False,
            "root": str(folder),
            "fingerprint": "made",
            "load": ImageFolder(str(folder)),
        }
        return Pairs(**{**fields, **changes})  # type: ignore[arg-type]

    return make
