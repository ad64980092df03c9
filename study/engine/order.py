"""An order: everything a worker anywhere needs to run one trial and to publish its record."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from study.spec.study_file import TrialSpec


@dataclass(frozen=True)
class Order:
    """One trial to run, as plain data that travels as JSON.

    Attributes:
        key: unique in the study, also the name of the trial's folder.
        role: search, ablation or baseline.
        spec: the `TrialSpec` as plain data.
        params: what the sampler suggested, by parameter.
        number: place in the search, None outside of it.
        table: the ablation it belongs to, else empty.
        variant: the ablation's variant, else empty.
        trains: False scores the network as it was initialised.
    """

    key: str
    role: str
    spec: dict[str, Any]
    params: dict[str, Any] = field(default_factory=dict)
    number: int | None = None
    table: str = ""
    variant: str = ""
    trains: bool = True

    def trial_spec(self) -> TrialSpec:
        """The checked specification."""
        return TrialSpec.read(self.spec)

    def dump(self) -> dict[str, Any]:
        """Plain data that `Order(**data)` takes back."""
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
    """

    study: str
    run: str
    cache: str
    provenance: str
    data_fingerprint: str
    split_hash: str

    @property
    def cache_folder(self) -> Path:
        """The cache folder as a path."""
        return Path(self.cache)
