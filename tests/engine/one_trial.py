"""One trial without a search and without Ray: its order, its place, and a training in this process."""

from pathlib import Path
from typing import Any

import torch

from study.data.cohort import Cohort, open_cohort
from study.engine.orders.messages import Ending, EndMessage
from study.engine.orders.trial_order import Site, TrialOrder
from study.engine.training.trial import run_order
from study.evidence.records import Role
from study.spec.trial_spec import TrialSpec


def order_of(
    spec: TrialSpec, key: str = "search-00000", role: Role = Role.SEARCH, **columns: Any
) -> TrialOrder:
    """An order for a trial with this specification."""
    number = 0 if role is Role.SEARCH else None
    return TrialOrder(**{"key": key, "role": role, "spec": spec.dump(), "number": number, **columns})


def site_of(run: Path, cache: Path, cohort: Cohort) -> Site:
    """The place of trials on these data."""
    return Site(
        study="a",
        run=str(run),
        cache=str(cache),
        provenance="{}",
        data_fingerprint=cohort.pairs.fingerprint,
        split_hash=cohort.split_hash,
    )


def train_alone(order: TrialOrder, run: Path, cache: Path) -> EndMessage:
    """Runs an order that must not be stopped, on the CPU."""
    site = site_of(run, cache, open_cohort(order.trial_spec().data, cache))
    return run_order(order, site, lambda epoch: False, torch.device("cpu"))


def train_whole(order: TrialOrder, run: Path, cache: Path) -> None:
    """The same for an order that must be completed."""
    end = train_alone(order, run, cache)
    assert end.ending is Ending.COMPLETE, end
