"""An order: everything a worker anywhere needs to run one trial and to publish its record."""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from study.spec.trial_spec import TrialSpec


@dataclass(frozen=True)
class TrialOrder:
    """One trial to run, as plain data that travels as JSON.

    Attributes:
        key: unique in the study, also the name of the trial's folder.
        role: search, confirm, ablation or baseline.
        spec: the `TrialSpec` as plain data.
        params: what the sampler suggested, by parameter.
        number: place in the search, None outside of it.
        table: the ablation it belongs to, else empty.
        variant: the ablation's variant, else empty.
        trains: False scores the network as it was initialised.
        note: what became of it so far that its record should say.
    """

    key: str
    role: str
    spec: dict[str, Any]
    params: dict[str, Any] = field(default_factory=dict)
    number: int | None = None
    table: str = ""
    variant: str = ""
    trains: bool = True
    note: str = ""

    def trial_spec(self) -> TrialSpec:
        """The checked specification."""
        return TrialSpec.read(self.spec)

    def dump(self) -> dict[str, Any]:
        """Plain data that `TrialOrder(**data)` takes back."""
        return asdict(self)


@dataclass(frozen=True)
class Site:
    """Where a study's trials find data and leave records; the same for all of its trials.

    Attributes:
        study: the study's name.
        run: path or URI of the run folder.
        cache: folder of the image caches on each node.
        provenance: commit, versions and command, as recorded with each trial.
        data_fingerprint: what the data must be on each node.
        split_hash: what the split must be on each node.
        fold_hashes: the same for each fold of the repeats, if they have folds.
        time_limit_s: seconds that a trial may take.
        device_kind: what trials train on, `cpu` or `cuda`.
        num_devices: CPU cores or GPUs of a trial, a part of one where trials share it.
    """

    study: str
    run: str
    cache: str
    provenance: str
    data_fingerprint: str
    split_hash: str
    device_kind: str = "cpu"
    num_devices: float = 1.0
    fold_hashes: Sequence[str] = ()
    time_limit_s: float | None = None

    def split_of(self, order: TrialOrder) -> str:
        """What the split of an order must be."""
        return (
            self.fold_hashes[order.spec["data"]["split"]["fold"]]
            if order.role == "confirm" and self.fold_hashes
            else self.split_hash
        )

    @property
    def cache_folder(self) -> Path:
        """The cache folder as a path."""
        return Path(self.cache)


def trial_columns(order: TrialOrder, site: Site, spec: TrialSpec) -> dict[str, Any]:
    """The columns of TRIAL that are known before a trial starts."""
    return {
        "study": site.study,
        "trial": order.key,
        "role": order.role,
        "number": order.number,
        "table": order.table,
        "variant": order.variant,
        "seed": spec.training.seed,
        "fold": spec.data.split.fold,
        "outcome": "",
        "message": "",
        "head": "",
        "setting": "",
        "objectives": "{}",
        "multiply_adds": None,
        "device_kind": site.device_kind,
        "num_devices": site.num_devices,
        "params": json.dumps(order.params),
        "spec": json.dumps(order.spec),
        "host": platform.node(),
        "provenance": site.provenance,
        "data_fingerprint": site.data_fingerprint,
        "split_hash": site.split_of(order),
    }
