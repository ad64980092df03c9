"""The weights that a finished trial keeps.

    <run>/trials/<key>/weights.safetensors    what the trial trained
    <run>/backbones/<hash>.safetensors        a frozen backbone, once for all trials that stand behind it

The first file names the second in its metadata. A backbone that was read from pretrained weights and stays
frozen is many times larger than what is trained behind it, and would otherwise be written for each trial.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from study.engine.orders.publishing import retry_write
from study.engine.training.session import TrainingSession
from study.engine.training.trained_state import frozen_hash, frozen_state, trained_state
from study.evidence.store import WEIGHTS, Store

BACKBONE = "backbone"  # in the metadata


def write_weights(session: TrainingSession, store: Store, folder: Path) -> Path:
    """Writes a trial's weights into a file of a local folder, and its frozen backbone into the run.

    Args:
        session: The trial with its network.
        store: Records of the run.
        folder: The local folder.

    Raises:
        StorageError: The run's storage refuses the backbone.
        OSError: The local folder has no room.
    """
    file, net = folder / WEIGHTS, session.net
    if not (session.spec.model.backbone.pretrained and net.backbone.frozen_parts):
        save_file(_apart(net.state_dict()), file)
        return file
    digest = frozen_hash(net.backbone)
    name = _name(digest)
    if not store.exists(store.path(name)):
        local = folder / "backbone.safetensors"
        save_file(_apart(frozen_state(net)), local)
        retry_write(store, name, lambda: store.keep_file(name, local))
    save_file(_apart(trained_state(net)), file, {BACKBONE: digest})
    return file


def read_weights(store: Store, key: str) -> dict[str, Tensor]:
    """All tensors of a trial's network by name.

    Raises:
        StorageError: The trial has not kept its weights, or its backbone is missing.
        SafetensorError: A file is damaged.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = store.fetch(key, WEIGHTS, folder)
        with safe_open(file, "pt") as opened:
            digest = (opened.metadata() or {}).get(BACKBONE)
        frozen = {} if digest is None else load_file(store.fetch_file(_name(digest), folder))
        return {**frozen, **load_file(file)}


def _name(digest: str) -> str:
    return f"backbones/{digest[:20]}.safetensors"


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as the format takes them; those that share their memory are copied apart."""
    own: dict[str, Tensor] = {}
    places: set[int] = set()
    for name, tensor in tensors.items():
        own[name] = tensor.contiguous()
        if own[name].untyped_storage().data_ptr() in places:
            own[name] = own[name].clone()
        places.add(own[name].untyped_storage().data_ptr())
    return own
