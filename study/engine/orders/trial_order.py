"""An order: everything that a worker anywhere needs to run one trial and to publish its record."""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from study.evidence.records import Outcome, Role, State, TrialRecord
from study.spec.holes import Scalar
from study.spec.resources import FEATURES_GB
from study.spec.trial_spec import TrialSpec
from study.spec.wording import shortened


@dataclass(frozen=True, kw_only=True)
class TrialOrder:
    """One trial to run, as plain data that travels as JSON.

    Attributes:
        key: Name that is unique in the study, also the name of the trial's folder.
        role: What the trial is run for.
        spec: The `TrialSpec` as plain data.
        params: What the sampler suggested, by parameter.
        number: Number of the trial in the search; None outside of the search.
        table: Ablation that the trial belongs to, else empty.
        variant: Variant of that ablation, or the search trial that is repeated or fine-tuned; else empty.
        trains: False scores the network as it was initialised.
        note: What happened to the trial so far that its record should say.
    """

    key: str
    role: Role
    spec: dict[str, Any]
    params: Mapping[str, Scalar] = field(default_factory=dict)
    number: int | None = None
    table: str = ""
    variant: str = ""
    trains: bool = True
    note: str = ""

    def trial_spec(self) -> TrialSpec:
        """The checked specification."""
        return self._trial_spec

    @cached_property
    def _trial_spec(self) -> TrialSpec:
        """Read once: driver and trial ask for it several times, and each reading takes milliseconds."""
        return TrialSpec.read(self.spec)

    @property
    def start(self) -> str:
        """Key of the trial whose weights this one starts from; empty where it begins anew."""
        return self.variant if self.role is Role.FINETUNE else ""

    def fingerprint(self) -> str:
        """SHA-256 of all that decides what the training gives: the specification, and where it starts."""
        found = self.trial_spec().fingerprint()
        return sha256(f"{self.start} {found}".encode()).hexdigest() if self.start else found

    def to_json(self) -> str:
        """The order as text, which `from_json` takes back."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The order of a text that `to_json` wrote."""
        data = json.loads(text)
        return cls(**{**data, "role": Role(data["role"])})


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where a study's trials find data and leave records; the same for all of its trials.

    Attributes:
        study: Name of the study.
        run: Path or URI of the run folder.
        cache: Folder of the image caches on each node.
        provenance: Commit, versions and command, as recorded with each trial.
        data_fingerprint: Fingerprint that the data must have on each node.
        split_hash: Hash that the split must have on each node.
        fold_hashes: The same for each fold of repeats and ablations, by `folds/fold`.
        time_limit_s: Seconds that a trial may take; None for no limit.
        features_gb: Gigabytes of each node's disk that the features of a trial may take.
        compile: Whether training compiles the network.
        fence: File of the run without which no trial is published.
        roots: Roots of data sets that the environment gave where the study was started.
        device_kind: What trials train on, `cpu` or `cuda`.
        num_devices: CPU cores or GPUs of a trial; a part of one where several trials share it.
    """

    study: str
    run: str
    cache: str
    provenance: str
    data_fingerprint: str
    split_hash: str
    device_kind: str = "cpu"
    num_devices: float = 1.0
    fold_hashes: Mapping[str, str] = field(default_factory=dict)
    time_limit_s: float | None = None
    features_gb: float = FEATURES_GB
    compile: bool = False
    fence: str = ""
    roots: Mapping[str, str] = field(default_factory=dict)

    def split_of(self, order: TrialOrder) -> str:
        """The hash that the split of an order must have."""
        if order.role not in (Role.CONFIRM, Role.ABLATION):
            return self.split_hash
        split = order.spec["data"]["split"]
        return self.fold_hashes.get(fold_name(split["folds"], split["fold"]), self.split_hash)

    @property
    def cache_folder(self) -> Path:
        """The cache folder as a path."""
        return Path(self.cache)

    def to_json(self) -> str:
        """The site as text, which `from_json` takes back."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The site of a text that `to_json` wrote."""
        return cls(**json.loads(text))


def fold_name(folds: int, fold: int) -> str:
    """Name of a fold in `Site.fold_hashes`."""
    return f"{folds}/{fold}"


def trial_record(
    order: TrialOrder,
    site: Site,
    *,
    state: State,
    objective: str,
    value: float | None,
    num_epochs: int,
    best_epoch: int | None,
    started: datetime,
    ended: datetime,
    seconds_training: float,
    seconds_total: float,
    synthetic: bool,
    outcome: Outcome = Outcome.NONE,
    message: str = "",
    collapsed: str = "",
    head: str = "",
    setting: str = "",
    objectives: Mapping[str, float] | None = None,
    num_parameters: int | None = None,
    multiply_adds: int | None = None,
    device: str = "",
) -> TrialRecord:
    """The record of an order: what the order and its site say, and how the trial ended.

    Args: as the columns of the same name in `study.evidence.schema.TRIAL`.
    """
    spec = order.trial_spec()
    return TrialRecord(
        study=site.study,
        trial=order.key,
        role=order.role,
        number=order.number,
        table=order.table,
        variant=order.variant,
        seed=spec.training.seed,
        fold=spec.data.split.fold,
        state=state,
        outcome=outcome,
        message=shortened(message),
        collapsed=collapsed,
        params=order.params,
        spec=order.spec,
        fingerprint=order.fingerprint(),
        objective=objective,
        value=value,
        head=head,
        setting=setting,
        best_epoch=best_epoch,
        num_epochs=num_epochs,
        objectives=objectives or {},
        num_parameters=num_parameters,
        multiply_adds=multiply_adds,
        seconds_training=seconds_training,
        seconds_total=seconds_total,
        device=device,
        host=platform.node(),
        device_kind=site.device_kind,
        num_devices=site.num_devices,
        started=started,
        ended=ended,
        provenance=site.provenance,
        data_fingerprint=site.data_fingerprint,
        split_hash=site.split_of(order),
        synthetic=synthetic,
    )
