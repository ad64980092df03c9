"""Reads pretrained weights from a local file and copies them into a network."""

import re
from argparse import Namespace
from collections.abc import Callable, Collection
from itertools import chain
from pathlib import Path, PosixPath
from pickle import UnpicklingError
from typing import Any
from zipfile import is_zipfile

import numpy as np
import torch
from numpy._core.multiarray import scalar
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from models.backbones._taken import TakenWeights, taken_weights

State = dict[str, Tensor]
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
NESTS = ("state_dict", "model", "teacher", "model_state_dict", "ema", "model_ema", "state_dict_ema")
"""Keys under which training scripts put the weights into their checkpoint, in the order of preference."""
HARMLESS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    Namespace,
    (PosixPath, "pathlib.PosixPath"),
    (PosixPath, "pathlib._local.PosixPath"),
    np.dtype,
    (scalar, "numpy.core.multiarray.scalar"),
    (scalar, "numpy._core.multiarray.scalar"),
    *(type(np.dtype(name)) for name in ("float32", "float64", "int32", "int64", "bool")),
]
"""What training scripts save beside the weights (their arguments, the best value), and what runs no code."""


def read_weights(file: str) -> State:
    """The tensors of a .safetensors file or of a state dict saved by torch.

    They are mapped into memory, so that only what is used is read, and weights that nobody changes are not
    kept twice. No code from the file is run (`weights_only=True`, which takes `HARMLESS` beside tensors).

    Raises:
        ValueError: There is no such file, it has another format, or it cannot be read.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise ValueError(
            f"`backbone.weights`: must be none, imagenet or an existing file, got {file}. Check the path."
        )
    if path.suffix not in SUFFIXES:
        raise ValueError(
            f"`backbone.weights`: must end in {', '.join(SUFFIXES)}, got {path.name}. "
            "Save a state dict or safetensors."
        )
    state = _read(path)
    for nest in NESTS:
        if isinstance(state, dict) and isinstance(state.get(nest), dict):
            state = state[nest]
    if not isinstance(state, dict) or not any(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(
            f"`backbone.weights`: {path} must hold a state dict, got {type(state).__name__}. "
            "Save `net.state_dict()`."
        )
    return {str(name): value for name, value in state.items() if isinstance(value, Tensor)}


def _read(path: Path) -> object:
    """What the file holds, which is not trusted yet."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(HARMLESS):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError, OSError, KeyError, ValueError) as error:
        refused = re.search(r"GLOBAL (\S+) was not an allowed global", str(error))
        first = (str(error) or "the file ends too early").splitlines()[0]
        first = f"it holds {refused[1]}, which could run code" if refused else first
        raise ValueError(
            f"`backbone.weights`: {path} cannot be read as plain tensors ({first}). "
            "Fetch it again or convert it."
        ) from None


def copy_weights(
    net: nn.Module, trunk: nn.Module, state: State, file: str, raw: State | None = None
) -> TakenWeights:
    """Gives the tensors of `net` that `trunk` uses the values of a state dict with the names of `net`.

    They take over the memory of the state dict, where its precision is theirs.

    What `trunk` does not use (classifier, auxiliary heads) may be missing or of another shape, and the file
    may hold more than the network has. A prefix of all names in the file (`module.`, `backbone.`) is taken
    off.

    Args:
        net: The whole network, whose names the file uses.
        trunk: The part that is kept; it shares its tensors with `net`.
        state: The tensors by name.
        file: Name of the file, for the message of the error.
        raw: The tensors by their names in the file, where `state` has others.

    Returns:
        What became of the tensors of the file.

    Raises:
        ValueError: Tensors of the trunk are missing or have another shape; the message lists the first five.
    """
    wanted, raw = _used_tensors(net, trunk), state if raw is None else raw
    state = without_prefix(state, wanted, file)
    wrong = [f"{name} (missing)" for name in wanted if name not in state]
    for name, tensor in wanted.items():
        if name in state and state[name].shape != tensor.shape:
            wrong.append(f"{name} (has {tuple(state[name].shape)}, needs {tuple(tensor.shape)})")
    if wrong:
        shown = ", ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        raise ValueError(
            f"`backbone.weights`: {file} does not fit the network: {shown}. "
            "Name the backbone that the file was made for."
        )
    taken = taken_weights(raw, state, list(wanted))
    for name, tensor in wanted.items():
        tensor.data = state[name].to(tensor).contiguous()
    return taken


def _used_tensors(net: nn.Module, trunk: nn.Module) -> State:
    """The stored tensors of the network that the trunk uses too, but for the counters of batch norm."""
    used = {id(tensor) for tensor in chain(trunk.parameters(), trunk.buffers())}
    stored = net.state_dict().keys()
    return {
        name: tensor
        for name, tensor in chain(net.named_parameters(), net.named_buffers())
        if id(tensor) in used and name in stored and not name.endswith("num_batches_tracked")
    }


def without_prefix(state: State, wanted: Collection[str], file: str) -> State:
    """Takes off what training scripts put before every name (`module.`, `backbone.`).

    Args:
        state: The tensors by name.
        wanted: The names of the network's own state, by which the prefix is known.
        file: Name of the file, for the message of the error.

    Raises:
        ValueError: Several prefixes lead to the same tensors, such as those of a left and a right branch.
    """
    first = next(iter(wanted))
    if first in state:
        return state
    names = set(wanted)
    prefixes = [name.removesuffix(first) for name in state if name.endswith(f".{first}")]
    num_found = {prefix: sum(prefix + name in state for name in names) for prefix in prefixes}
    most = max(num_found.values(), default=0)
    best = [prefix for prefix, num in num_found.items() if num == most]
    if len(best) > 1:
        raise ValueError(
            f"`backbone.weights`: {file} must hold one network, got {len(best)} ({', '.join(best)}). "
            "Save the state dict of the one to use."
        )
    prefix = best[0] if best else ""
    return {name.removeprefix(prefix): value for name, value in state.items()}
