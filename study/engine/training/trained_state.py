"""The two parts of a network's state: what training changes, and what a frozen backbone keeps as it was."""

import hashlib
from collections.abc import Mapping
from itertools import chain
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from models.contracts import Backbone
from models.siamese import SiameseNet
from study.engine.training.workers import bare


def trained_state(net: nn.Module) -> dict[str, Tensor]:
    """The tensors of a network by name, but for those of the frozen parts of its backbone.

    Args:
        net: The network, perhaps in its wrappers.
    """
    found: dict[str, Tensor] = {}
    whole = _network(net)
    frozen = set(whole.backbone.frozen_parts)
    for path, module in whole.named_modules(memo=frozen, remove_duplicate=False):
        passing = module._non_persistent_buffers_set  # torch has no other way to ask
        buffers = ((name, x) for name, x in module.named_buffers(recurse=False) if name not in passing)
        for name, tensor in chain(module.named_parameters(recurse=False), buffers):
            found[f"{path}.{name}" if path else name] = tensor.detach()
    return found


def load_trained_state(net: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Gives a network the state that `trained_state` gave; the frozen parts stay as they are."""
    own = trained_state(net)
    assert state.keys() == own.keys()
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(state[name])


def frozen_state(net: SiameseNet) -> dict[str, Tensor]:
    """The tensors of the frozen parts of the backbone, by their names in the network."""
    trained = trained_state(net)
    return {name: tensor for name, tensor in net.state_dict().items() if name not in trained}


_HASHES: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()


def frozen_hash(backbone: Backbone) -> str:
    """`weights_hash` of the frozen parts; found once for a whole network that several trials share."""
    frozen = nn.ModuleList(backbone.frozen_parts)
    if len(backbone.later_parts) > (backbone.components is not None):
        return weights_hash(frozen)
    if backbone.net not in _HASHES:
        _HASHES[backbone.net] = weights_hash(frozen)
    return _HASHES[backbone.net]


def weights_hash(net: nn.Module) -> str:
    """The sha256 over the names and values of all weights and statistics of a network."""
    found = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def _network(net: nn.Module) -> SiameseNet:
    whole = bare(net)
    assert isinstance(whole, SiameseNet)
    return whole
