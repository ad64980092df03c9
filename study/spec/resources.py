"""The part `resources` of a study file."""

import os
from typing import Annotated, Literal

from pydantic import Field

from study.spec.section import Section

FEATURES_GB = 20.0
"""Gigabytes that the features of a trial may take, where the study says nothing."""


def usable_cores() -> int:
    """The cores that this process may run on; macOS does not say, and all of its cores count there."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class ResourcesSpec(Section):
    """What a trial gets and where Ray is.

    None of this changes a result, except that it can end a trial or divide its batches.

    Attributes:
        address: `local` starts Ray on this machine, `auto` or `host:port` joins a cluster.
        workers: number of devices of one trial; above 1 they train it together (DDP).
        cpus_per_worker: number of CPU cores of one worker; null shares the machine's cores between the
            concurrent trials.
        gpus_per_worker: number of GPUs of one worker, which may be a fraction; null takes one where the
            cluster has any.
        concurrent: number of trials at a time; null for as many as fit.
        time_limit_s: seconds after which a trial is ended as failed; null for no limit.
        on_out_of_memory: `halve` tries a trial again with its batches worked on in halves, whose gradients
            are added; `fail` ends it as failed.
        features_gb: gigabytes of each machine's disk that the features of a frozen backbone may take, for a
            trial; one that needs more runs the backbone in every epoch. 0 keeps no features.
        compile: whether training compiles each network with `torch.compile`. It takes a minute or so for the
            first trial with a network in each process, for faster steps on a GPU, and may change the last
            digits of the numbers.
    """

    address: str = "local"
    workers: Annotated[int, Field(ge=1)] = 1
    cpus_per_worker: Annotated[float, Field(gt=0)] | None = None
    gpus_per_worker: Annotated[float, Field(ge=0)] | None = None
    concurrent: Annotated[int, Field(ge=1)] | None = None
    time_limit_s: Annotated[float, Field(gt=0)] | None = None
    on_out_of_memory: Literal["halve", "fail"] = "halve"
    features_gb: Annotated[float, Field(ge=0)] = FEATURES_GB
    compile: bool = False
