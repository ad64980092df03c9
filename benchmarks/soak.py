"""Kills at random moments for a long time: whatever happens to a study, it loses nothing, doubles nothing and ends as if nothing had.

    uv run python benchmarks/soak.py [--minutes 30] [--seed 0] [--folder DIR]

Round after round a small study on drawn images is started, disturbed and started again by the same command until it is finished.
Its settings were played undisturbed once, and every round must end with the same trials: numbers, parameters, states, values.
All the while what was published must stay as it is and nothing half-written may be visible; after each round no process may be left,
and on a cluster that outlives its studies no placement group, with all of its resources free.

A broken rule ends the soak with exit code 1 and keeps the folder. Linux only; a full disk is tried as root only.
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

from soak_round import Broken, Diary, Kind, Round, require  # a script finds the file beside it

from study.engine.cluster.token import token_path

GROUP = {"resources.workers": 2, "resources.cpus_per_worker": 0.5, "search.trials": 3}
EVENTS, MOST_S, DISK = 5, 15.0, "24m"
KINDS = (
    Kind("one process", ("driver", "trial", "raylet", "second driver")),
    Kind("full disk", ("full disk", "full disk", "driver", "trial"), small_disk=True),
    Kind("two workers", ("driver", "trial", "worker", "raylet"), GROUP),
    Kind("joined cluster", ("driver", "trial", "second driver"), joined=True),
    Kind("joined cluster, two workers", ("worker", "worker", "trial", "driver"), GROUP, joined=True),
)


def play(kind: Kind, folder: Path, address: str, diary: Diary, chance: random.Random) -> list[dict[str, Any]]:
    """Plays one round; of a kind without events it is the run that others must equal."""
    with small_disk(folder / "disk") if kind.small_disk else nullcontext():
        study = Round(kind, folder, address, diary, chance)
        try:
            left = EVENTS if kind.events else 0
            while study.goes_on(chance.uniform(1, MOST_S)):
                if left:
                    left -= study.happen(chance.choice(kind.events))
            return study.end()
        finally:
            study.process.kill()


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A disk of its own that is soon full; it stays where a rule was broken."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "soak", str(folder)], check=True)
    yield
    subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def standing_cluster(folder: Path) -> Iterator[str]:
    """A cluster that outlives the studies, to see what they leave on it."""
    os.environ |= {
        "SOAK_MARK": str(folder / "cluster"),
        "RAY_AUTH_MODE": "token",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    import ray  # reads the environment
    from ray.cluster_utils import Cluster

    from study.engine.cluster.token import keep_token_private

    keep_token_private(token_path())
    with tempfile.TemporaryDirectory(prefix="soak-", dir="/tmp") as short:  # a socket's path has 107 letters
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


def soak(minutes: float, seed: int, folder: Path, diary: Diary) -> None:
    """Plays rounds of all kinds in turn, from the seed's, until the time is over."""
    chance, until, wanted = (
        random.Random(seed),
        time.monotonic() + 60 * minutes,
        dict[str, list[dict[str, Any]]](),
    )
    kinds = [kind for kind in KINDS if os.geteuid() == 0 or not kind.small_disk]
    if len(kinds) < len(KINDS):
        diary.say("full disk", "skipped: a small disk can be mounted by root only")
    number = 0
    with standing_cluster(folder) as cluster:
        while time.monotonic() < until:
            kind = kinds[(seed + number) % len(kinds)]
            same = wanted.get(repr(kind.settings))
            if same is None:
                undisturbed = Kind("undisturbed", (), kind.settings)
                same = wanted[repr(kind.settings)] = play(
                    undisturbed, folder / f"undisturbed-{len(wanted)}", "local", Diary(), chance
                )
                diary.say("undisturbed", f"{len(same)} trials")
            found = play(kind, folder / f"round-{number}", cluster if kind.joined else "local", diary, chance)
            require(found == same, f"the trials of an undisturbed run, {same}, got {found}")
            diary.say(kind.name, f"round {number} has ended as undisturbed, {len(found)} trials")
            diary.rounds[kind.name] += 1
            number += 1


def main() -> int:
    cli = argparse.ArgumentParser()
    cli.add_argument("--minutes", type=float, default=30)
    cli.add_argument("--seed", type=int, default=0)
    cli.add_argument("--folder", type=Path)
    args = cli.parse_args()
    folder, diary = (args.folder or Path(tempfile.mkdtemp(prefix="soak-"))).absolute(), Diary()
    try:
        soak(args.minutes, args.seed, folder, diary)
    except Broken as broken:
        print(f"broken: {broken}\nthe folder stays: {folder}", file=sys.stderr)
        return 1
    print(f"\n{diary.summary(f'python benchmarks/soak.py --minutes {args.minutes:g} --seed {args.seed}')}")
    if args.folder is None:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
