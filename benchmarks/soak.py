"""Random kills for a long time: a disturbed study must end like an undisturbed one.

    uv run python benchmarks/soak.py [--minutes 30] [--seed 0] [--folder DIR] [--s3]

In each round a small study on drawn images is started, disturbed, and started again by the same command until
it is finished. The same settings are run once without disturbance, and every round must end with the trials
of that run: the same numbers, parameters, states and values. At any moment, published records must stay as
they are, and no half-written record may be visible. After each round no process may be left, and a cluster
that outlives its studies must have no placement group left and all of its resources free.

A broken rule ends the soak with exit code 1, and the folder is kept. The soak needs Linux; only root can
mount the small disk for the rounds with a full disk. With `--s3` all records lie on an object store of this
machine that refuses a share of the requests, and for half a minute at a time all of them.
"""

import argparse
import logging
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from soak_diary import BrokenRule, Diary, require  # a script finds the file beside it
from soak_round import Kind, Round

from study.engine.cluster.token import token_path
from tests.storage.s3 import CREDENTIALS, Server, s3_server

GROUP = {"resources.workers": 2, "resources.cpus_per_worker": 0.5, "search.trials": 3}
EVENTS = 5  # disturbances of a round
LONGEST_PAUSE_S = 15.0  # between two disturbances
DISK_SIZE = "24m"
KINDS = (
    Kind(name="one process", events=("driver", "trial", "raylet", "second driver")),
    Kind(name="full disk", events=("full disk", "full disk", "driver", "trial"), small_disk=True),
    Kind(name="two workers", events=("driver", "trial", "worker", "raylet"), settings=GROUP),
    Kind(name="joined cluster", events=("driver", "trial", "second driver"), joined=True),
    Kind(
        name="joined cluster, two workers",
        events=("worker", "worker", "trial", "driver"),
        settings=GROUP,
        joined=True,
    ),
)
ON_S3 = (
    Kind(name="object store", events=("outage", "outage", "driver", "trial", "second driver"), on_s3=True),
)
SHARE_REFUSED = 0.03  # of the requests to the object store


def play(
    kind: Kind,
    folder: Path,
    address: str,
    diary: Diary,
    chance: random.Random,
    server: Server | None = None,
) -> list[dict[str, Any]]:
    """Plays one round and gives its trials; a kind without events is left undisturbed."""
    with small_disk(folder / "disk") if kind.small_disk else nullcontext():
        study = Round(kind, folder, address, diary, chance, server)
        try:
            left = EVENTS if kind.events else 0
            while study.goes_on(chance.uniform(1, LONGEST_PAUSE_S)):
                if left:
                    left -= study.disturb(chance.choice(kind.events))
            return study.end()
        finally:
            study.process.kill()


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Mounts a disk that is soon full; it stays mounted when a rule was broken."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_SIZE}", "soak", str(folder)], check=True)
    yield
    subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def standing_cluster(folder: Path) -> Iterator[str]:
    """Starts a cluster that outlives the studies, and gives its address."""
    mark = str(folder / "cluster")
    os.environ |= {"SOAK_MARK": mark, "RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
    import ray  # reads the environment
    from ray.cluster_utils import Cluster

    from study.engine.cluster.token import keep_token_private

    keep_token_private(token_path())
    with tempfile.TemporaryDirectory(
        prefix="soak-", dir="/tmp"
    ) as short:  # a socket's path has at most 107 letters
        head = {
            "num_cpus": 1,
            "include_dashboard": True,
            "dashboard_port": None,
            "temp_dir": short,
            "object_store_memory": 10**8,
        }
        nodes = Cluster(initialize_head=True, head_node_args=head)
        try:
            ray.init(nodes.address, log_to_driver=False, logging_level=logging.ERROR)
            yield nodes.address
        finally:
            ray.shutdown()
            nodes.shutdown()


@contextmanager
def object_store() -> Iterator[Server]:
    """Runs an object store that refuses a share of the requests."""
    os.environ |= CREDENTIALS
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with s3_server() as server:
        server.refuses = SHARE_REFUSED
        yield server


def soak(minutes: float, seed: int, folder: Path, diary: Diary, server: Server | None = None) -> None:
    """Plays rounds of all kinds in turn until the time is over; the seed says which kind is the first."""
    chance = random.Random(seed)
    until = time.monotonic() + 60 * minutes
    wanted_kinds = ON_S3 if server else KINDS
    kinds = [kind for kind in wanted_kinds if os.geteuid() == 0 or not kind.small_disk]
    if len(kinds) < len(wanted_kinds):
        diary.say("full disk", "skipped: only root can mount a small disk")
    undisturbed: dict[str, list[dict[str, Any]]] = {}
    number = 0
    joined = any(kind.joined for kind in kinds)
    with standing_cluster(folder) if joined else nullcontext("local") as cluster:
        while time.monotonic() < until:
            kind = kinds[(seed + number) % len(kinds)]
            settings = repr(kind.settings)
            if settings not in undisturbed:
                calm, place = (
                    Kind(name="undisturbed", events=(), settings=kind.settings),
                    folder / f"undisturbed-{len(undisturbed)}",
                )
                undisturbed[settings] = play(calm, place, "local", Diary(), chance)
                diary.say("undisturbed", f"{len(undisturbed[settings])} trials")
            wanted = undisturbed[settings]
            address = cluster if kind.joined else "local"
            found = play(kind, folder / f"round-{number}", address, diary, chance, server)
            require(found == wanted, f"the trials of an undisturbed run, {wanted}, got {found}")
            diary.say(kind.name, f"round {number} has ended as undisturbed, {len(found)} trials")
            diary.rounds[kind.name] += 1
            number += 1


def main() -> int:
    cli = argparse.ArgumentParser()
    cli.add_argument("--minutes", type=float, default=30)
    cli.add_argument("--seed", type=int, default=0)
    cli.add_argument("--folder", type=Path)
    cli.add_argument("--s3", action="store_true", help="with all records on an object store")
    args = cli.parse_args()
    folder = (args.folder or Path(tempfile.mkdtemp(prefix="soak-"))).absolute()
    diary = Diary()
    try:
        with object_store() if args.s3 else nullcontext() as server:
            soak(args.minutes, args.seed, folder, diary, server)
    except BrokenRule as broken:
        print(f"broken: {broken}\nthe folder stays: {folder}", file=sys.stderr)
        return 1
    command = f"python benchmarks/soak.py --minutes {args.minutes:g} --seed {args.seed}"
    command += " --s3" if args.s3 else ""
    print(f"\n{diary.summary(command)}")
    if args.folder is None:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
