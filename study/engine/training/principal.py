"""Principal components of a frozen backbone's maps, as weights of a fixed 1x1 convolution.

Source: Pearson 1901; for whitened components of network features Jégou and Chum 2012.
Differs: Each position of a map counts as one observation. A large training split gives `MOST_SAMPLES` of its
samples, evenly spread, since the components hardly change beyond some ten thousand positions.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.siamese import SiameseNet
from study.data.build_once import build_once
from study.data.pairs import digest
from study.spec.errors import SpecError

KEPT = "components.safetensors"
MOST_SAMPLES = 500  # that components are fitted on
LEAST_VARIANCE = 1e-6  # of the largest; whitening does not blow up what lies below


def require_frozen_whole(net: SiameseNet) -> None:
    """Passes where no component is wanted, or where the maps that they are fitted on never change.

    Raises:
        SpecError: A part of the backbone is trained.
    """
    components = net.backbone.components
    if components is not None and components.weight.requires_grad:
        raise SpecError(
            "`backbone.reduce`: needs a backbone that is frozen whole, got one that is trained in part. "
            "Set freeze: all, and attention_at: last."
        )


def keep_components(
    folder: Path,
    key: Sequence[object],
    convolution: nn.Conv2d,
    maps: Iterable[Float[Tensor, "n c h w"]],
    *,
    whiten: bool,
) -> None:
    """Does what `set_components` does, once for all trials that want the same components.

    Args:
        folder: Folder of all caches.
        key: All that decides what the components are; it names them.
        convolution: From the channels of the maps to the components.
        maps: Maps of the training images, in batches; not read where the components are there.
        whiten: Divide each component by its standard deviation.

    Raises:
        StorageError: The folder cannot be written.
    """

    def fill(building: Path) -> None:
        set_components(convolution, maps, whiten=whiten)
        save_file(
            {name: x.cpu().contiguous() for name, x in convolution.state_dict().items()}, building / KEPT
        )

    home = folder / f"components-{digest(*key)[:20]}"
    build_once(home, KEPT, fill)
    convolution.load_state_dict(load_file(home / KEPT))


def set_components(convolution: nn.Conv2d, maps: Iterable[Float[Tensor, "n c h w"]], *, whiten: bool) -> None:
    """Gives a 1x1 convolution the weights that turn channels x into components U(x - m).

    The rows of U are the eigenvectors of the covariance with the largest eigenvalues, in falling order; their
    largest entries are positive. m is the mean.

    Args:
        convolution: From the channels of the maps to the components.
        maps: Maps of the training images, in batches.
        whiten: Divide each component by its standard deviation.
    """
    channels = convolution.in_channels
    first, num = torch.zeros(channels, dtype=torch.float64), 0
    second = torch.zeros(channels, channels, dtype=torch.float64)
    for batch in maps:
        x = batch.float().movedim(1, -1).flatten(0, 2)
        first += x.double().sum(0).cpu()
        second += (x.T @ x).double().cpu()
        num += len(x)
    mean = first / num
    variances, vectors = torch.linalg.eigh(second / num - torch.outer(mean, mean))
    rows = vectors.T.flip(0)[: convolution.out_channels]
    signs = rows.gather(1, rows.abs().argmax(1, keepdim=True)).sign()
    rows = rows * signs
    if whiten:
        largest = variances.flip(0)[: convolution.out_channels]
        rows = rows / largest.clamp(min=LEAST_VARIANCE * float(largest[0])).sqrt()[:, None]
    with torch.no_grad():
        convolution.weight.copy_(rows[:, :, None, None])
        assert convolution.bias is not None
        convolution.bias.copy_(-rows @ mean)


def spread(rows: Int[np.ndarray, " n"]) -> Int[np.ndarray, " m"]:
    """At most `MOST_SAMPLES` of the samples, evenly spread."""
    places = np.linspace(0, len(rows) - 1, min(len(rows), MOST_SAMPLES)).round().astype(np.int64)
    chosen: Int[np.ndarray, " m"] = rows[places]
    return chosen
