"""The part of a network's state that training changes: what a checkpoint and the best epoch keep."""

from collections.abc import Mapping
from itertools import chain

from torch import Tensor, nn

from models.siamese import SiameseNet
from study.engine.training.workers import bare


def trained_state(net: nn.Module) -> dict[str, Tensor]:
    """The tensors of a network by name, but for those of the frozen parts of its backbone.

    Args:
        net: The network, perhaps in its wrappers.
    """
    whole = _network(net)
    frozen = whole.backbone.frozen_parts
    fixed = {id(tensor) for tensor in chain(frozen.parameters(), frozen.buffers())}
    tensors = whole.state_dict(keep_vars=True)
    return {name: tensor.detach() for name, tensor in tensors.items() if id(tensor) not in fixed}


def load_trained_state(net: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Gives a network the state that `trained_state` gave; the frozen parts stay as they are."""
    assert state.keys() == trained_state(net).keys()
    _network(net).load_state_dict(state, strict=False)  # it lacks the frozen parts


def _network(net: nn.Module) -> SiameseNet:
    whole = bare(net)
    assert isinstance(whole, SiameseNet)
    return whole
