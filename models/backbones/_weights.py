"""Reads pretrained weights from a local file and copies them into a network, or says which key does not fit."""

from itertools import chain
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

State = dict[str, Tensor]
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
NESTS = (
    "state_dict",
    "model",
    "teacher",
    "model_state_dict",
)  # where training scripts put the weights inside their checkpoint


def read_weights(file: str) -> State:
    """The tensors of a .safetensors file or of a state dict saved by torch, half precision cast to float32.

    No code from the file is run (`weights_only=True`).

    Raises:
        ValueError: no such file, another format, or a file that cannot be read.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise ValueError(
            f"`backbone.weights`: must be none, imagenet or an existing file, got {file}. Check the path."
        )
    if path.suffix not in SUFFIXES:
        raise ValueError(
            f"`backbone.weights`: must end in {', '.join(SUFFIXES)}, got {path.name}. Save a state dict or safetensors."
        )
    try:
        state = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError, OSError, KeyError, ValueError) as error:
        first = (str(error) or "the file ends too early").splitlines()[0]
        raise ValueError(
            f"`backbone.weights`: {path} cannot be read as plain tensors ({first}). Fetch it again or convert it."
        ) from None
    for nest in NESTS:
        if isinstance(state, dict) and isinstance(state.get(nest), dict):
            state = state[nest]
    if not isinstance(state, dict) or not any(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(
            f"`backbone.weights`: {path} holds no state dict, got {type(state).__name__}. Save `net.state_dict()`."
        )
    tensors = {str(k): v for k, v in state.items() if isinstance(v, Tensor)}
    return {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}


def copy_weights(net: nn.Module, trunk: nn.Module, state: State, file: str) -> None:
    """Copies a state dict that is named like `net` into those of its tensors that `trunk` uses.

    What `trunk` does not use (classifier, auxiliary heads) may be missing, of another shape, or there for nothing. A
    prefix that the whole file shares (`module.`, `backbone.`) is taken off.

    Args:
        net: the whole network, whose names the file uses.
        trunk: the part that is kept; shares its tensors with `net`.
        state: names -> tensors.
        file: named in the error.

    Raises:
        ValueError: tensors of the trunk are missing or have another shape; lists the first few.
    """
    used = {id(t) for t in chain(trunk.parameters(), trunk.buffers())}
    stored = net.state_dict().keys()
    wanted = {
        n: t for n, t in chain(net.named_parameters(), net.named_buffers()) if id(t) in used and n in stored
    }
    wanted = {n: t for n, t in wanted.items() if not n.endswith("num_batches_tracked")}
    state = without_prefix(state, next(iter(wanted)))
    wrong = [f"{n} (missing)" for n in wanted if n not in state]
    other = {n: t for n, t in wanted.items() if n in state and state[n].shape != t.shape}
    wrong += [f"{n} (has {tuple(state[n].shape)}, needs {tuple(t.shape)})" for n, t in other.items()]
    if wrong:
        shown = ", ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        raise ValueError(
            f"`backbone.weights`: {file} does not fit the network: {shown}. Name the backbone that the file was made for."
        )
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(state[name])


def without_prefix(state: State, first: str) -> State:
    """Takes off what training scripts put before every name (`module.`, `backbone.`), judged by the network's first name."""
    prefix = next((k.removesuffix(first) for k in state if k.endswith(f".{first}")), "")
    return state if first in state else {k.removeprefix(prefix): v for k, v in state.items()}
