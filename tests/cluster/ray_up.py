"""A real `ray up` of cluster.local.yaml: two machines behind sshd, a study on both, its Parquet, `ray down`.

    sudo .venv/bin/python tests/cluster/ray_up.py [LOG]

It needs Linux, root, sshd, ssh, rsync, ip and unshare, and says why it skips where one is missing. The
machines are namespaces with an address, processes, a home (an overlay) and an sshd of their own; they, and
all that they start, end with this process. Nothing outside of them is touched: `ray stop`, which ends every
Ray that it can see, sees only theirs.
"""

import contextlib
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from study.evidence.store import Store

PROJECT = Path(__file__).parents[2]
TOOLS = ("ssh", "ssh-keygen", "rsync", "ip", "unshare", "/usr/sbin/sshd")
CLIENT, MACHINES = "10.77.0.1", {"head": "10.77.0.2", "worker": "10.77.0.3"}
JOBS = "http://127.0.0.1:8265"
CHATTER = re.compile(
    r"\d\s+V*(INFO|WARN|SUCC)|updates properly|Shared connection|Permanently added|please use a directory"
    r"|^(trials|report)/|^[0-9a-f]{64}$"
)
COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
STUDY: dict[str, Any] = {
    "study": "small",
    "data": {"dataset": "odir5k", "phantom_patients": 120, "image_px": 64},
    "model": {"backbone": "tiny"},
    "optimiser": {"lr": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True}},
    "training": {"epochs": 4, "warmup_epochs": 0},
    "search": {"trials": 6, "startup": 2, "pruner": "none"},
    "resources": {"cpus_per_worker": len(os.sched_getaffinity(0))},  # one trial a machine
}
MACHINE = """
set -e
mount --make-rprivate /
mount -t proc proc /proc
hostname $NAME
mount -t tmpfs -o size=2g tmpfs /dev/shm
mkdir -p /tmp/ray /run/sshd $LAB/$NAME
mount -t tmpfs tmpfs $LAB/$NAME
mkdir $LAB/$NAME/ray $LAB/$NAME/upper $LAB/$NAME/work
mount --bind $LAB/$NAME/ray /tmp/ray
mount -t overlay overlay -o lowerdir=$OWNER,upperdir=$LAB/$NAME/upper,workdir=$LAB/$NAME/work $OWNER
rm -rf $OWNER/.ssh $OWNER/.ray $OWNER/.cache/eyepair-study
mkdir -m 700 $OWNER/.ssh
cp $LAB/key.pub $OWNER/.ssh/authorized_keys
exec /usr/sbin/sshd -D -e -f /dev/null -o ListenAddress=$IP -o HostKey=$LAB/hostkey -o PidFile=none \\
    -o UsePAM=no -o PasswordAuthentication=no -o PermitRootLogin=prohibit-password -o StrictModes=no
"""


def main() -> int:
    """Runs all of it; 0 also where it may not run, after saying why."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if sys.platform != "linux" or os.geteuid() != 0 or missing:
        why = f"{', '.join(missing)} missing" if missing else "needs root on Linux, for namespaces and sshd"
        print(f"SKIPPED ray up: {why}")
        return 0
    own = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if subprocess.run([*own, "true"], capture_output=True, check=False).returncode:
        print("SKIPPED ray up: this system gives no namespaces (an unprivileged container?)")
        return 0
    log = ["--", *sys.argv[1:2]]
    inside = shlex.join([sys.executable, __file__, "--inside", *log])
    # bash, as process 1, takes care of processes whose parents have ended.
    return subprocess.run([*own, "bash", "-c", f"{inside}; exit $?"], check=False).returncode


class Lab:
    """The machines, and the commands that a user would type beside them.

    Args:
        folder: keys, logs and the storage that all machines share.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.shared = folder, folder / "shared"
        self.shared.mkdir()
        self.file = folder / "cluster.local.yaml"
        home = folder / "client"
        (home / ".ray").mkdir(parents=True)
        for key in ("key", "hostkey"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True
            )
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin",
            "HOME": str(home),
            "USER": "root",
            "LANG": "C.UTF-8",
            "TMPDIR": str(folder),
            "RAY_AUTH_MODE": "token",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_UP_enable_autoscaler_v2": "0",
        }
        self.transcript: list[str] = []

    def start_machines(self) -> None:
        """A bridge, and on it each machine."""
        private = ("/run/netns", "/tmp/ray")
        for folder in private:
            Path(folder).mkdir(exist_ok=True)
        commands = [f"mount -t tmpfs tmpfs {folder}" for folder in private]
        commands += ["ip link set lo up", "ip link add lab type bridge"]
        commands += [f"ip addr add {CLIENT}/24 dev lab", "ip link set lab up"]
        for name, address in MACHINES.items():
            commands += [f"ip netns add {name}", f"ip link add v{name} type veth peer name eth0 netns {name}"]
            commands += [f"ip link set v{name} master lab up", f"ip -n {name} addr add {address}/24 dev eth0"]
            commands += [
                f"ip -n {name} link set eth0 up",
                f"ip -n {name} link set lo up",
                f"ip -n {name} route add default via {CLIENT}",
            ]
        for command in commands:
            subprocess.run(command.split(), check=True)
        for name, address in MACHINES.items():
            environment = {
                **os.environ,
                "NAME": name,
                "IP": address,
                "LAB": str(self.folder),
                "OWNER": str(Path("~root").expanduser()),
            }
            own = f"ip netns exec {name} unshare --pid --fork --mount --uts --ipc --kill-child".split()
            with (self.folder / f"{name}.log").open("wb") as said:
                subprocess.Popen([*own, "bash", "-c", MACHINE], env=environment, stdout=said, stderr=said)
        for name, address in MACHINES.items():
            _await_port(address, 22, (self.folder / f"{name}.log"))

    def write_cluster_file(self) -> None:
        """The project's file with these machines and this environment, since a lab cannot fetch another."""
        cluster = yaml.safe_load((PROJECT / "cluster.local.yaml").read_text())
        cluster["provider"] |= {"head_ip": MACHINES["head"], "worker_ips": [MACHINES["worker"]]}
        cluster["auth"] = {"ssh_user": "root", "ssh_private_key": str(self.folder / "key")}
        cluster["min_workers"] = cluster["max_workers"] = 1
        commands = cluster["setup_commands"]
        fetching = [command for command in commands if "uv" in command.split("eyepair-study/.venv")[0]]
        assert len(fetching) == 2, "the file's commands that fetch uv and the environment"
        link = f"ln -sfn {Path(sys.executable).parents[1]} ~/eyepair-study/.venv"
        commands[commands.index(fetching[1])] = link
        commands.remove(fetching[0])
        self.file.write_text(yaml.safe_dump(cluster))

    def run(self, *command: str, fails: bool = False, timeout_s: float = 600) -> str:
        """Runs a command as a user beside the project would; what it says goes to the transcript."""
        began = time.monotonic()
        done = subprocess.run(
            command,
            cwd=PROJECT,
            env=self.environment,
            timeout=timeout_s,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        words = " ".join(command).replace(str(self.folder), "LAB")
        text = COLOUR.sub("", done.stdout).replace(str(self.folder), "LAB")
        said = "\n".join(line for line in text.splitlines() if line.strip() and not CHATTER.search(line))
        self.transcript.append(f"$ {words}\n{said}\n[{done.returncode}, {time.monotonic() - began:.0f} s]\n")
        print(self.transcript[-1], flush=True)
        assert bool(done.returncode) == fails, f"{words} ended with {done.returncode}"
        return done.stdout

    def on(self, machine: str, command: str) -> str:
        """Runs a command on a machine over ssh, and gives what it says, also where it fails."""
        options = ["-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oLogLevel=ERROR"]
        ssh = ["ssh", *options, "-i", str(self.folder / "key"), f"root@{MACHINES[machine]}", command]
        return subprocess.run(ssh, capture_output=True, text=True, timeout=60, check=False).stdout


def inside(log: str | None) -> None:
    """The test itself, in namespaces of its own."""
    with tempfile.TemporaryDirectory(prefix="lab-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        lab = Lab(Path(folder))
        try:
            lab.start_machines()
            lab.write_cluster_file()
            _bring_up(lab)
            _run_study(lab)
            _check_records(lab)
            _take_down(lab)
        finally:
            if log:
                Path(log).write_text("\n".join(lab.transcript))
    print("PASSED ray up: two machines, a study on both, its Parquet back, none of Ray left")


def _bring_up(lab: Lab) -> None:
    lab.run("ray", "get-auth-token", "--generate")
    (Path(lab.environment["HOME"]) / ".ray/auth_token").chmod(0o600)
    assert "problem" not in lab.run("python", "-m", "study.doctor", str(lab.file))
    lab.run("ray", "up", str(lab.file), "-y", "--no-config-cache")
    cores = len(MACHINES) * len(os.sched_getaffinity(0))
    _await(
        lambda: f"/{cores}.0 CPU" in lab.run("ray", "exec", str(lab.file), "ray status"), lambda: "the worker"
    )
    listening = lab.on("head", "ss -ltnH '( sport = :8265 )'").split()
    assert "127.0.0.1:8265" in listening, listening
    with pytest.raises(ConnectionRefusedError, match="refused"):  # the dashboard answers on loopback only
        socket.create_connection((MACHINES["head"], 8265), timeout=5)
    assert lab.on("head", "stat -c %a ~/.ray/auth_token") == "600\n"


def _run_study(lab: Lab) -> None:
    (lab.shared / "small.yaml").write_text(yaml.safe_dump(STUDY))
    run = f"python -m study.run {lab.shared}/small.yaml --address auto --storage {lab.shared}/runs"
    command = f"cd ~/eyepair-study && {run}"
    tunnel = subprocess.Popen(
        ["ray", "dashboard", str(lab.file)], cwd=PROJECT, env=lab.environment, stdout=subprocess.DEVNULL
    )
    try:
        _await_port("127.0.0.1", 8265)
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{JOBS}/api/jobs/", timeout=20)
        said = lab.run("ray", "job", "submit", "--address", JOBS, "--", "bash", "-c", command, timeout_s=1200)
        assert "succeeded" in said
    finally:
        tunnel.terminate()
        tunnel.wait()
    # The same command again answers at once.
    assert "(6 done)" in lab.run("ray", "exec", str(lab.file), command)


def _check_records(lab: Lab) -> None:
    back = lab.folder / "back"
    back.mkdir()
    lab.run("ray", "rsync-down", str(lab.file), f"{lab.shared}/runs/small/", f"{back}/")
    trials = Store(back).read("trial")
    search = trials[trials["role"] == "search"]
    assert sorted(search["number"]) == list(range(STUDY["search"]["trials"]))
    assert set(search["state"]) == {"complete"}
    assert set(search["host"]) == set(MACHINES), search[["trial", "host"]]  # both machines trained
    for machine in MACHINES:  # decoded once, by itself
        assert len(lab.on(machine, "ls --ignore=logs ~/.cache/eyepair-study").split()) == 1, machine
    lab.transcript.append(search[["trial", "state", "value", "host"]].to_string(index=False) + "\n")
    print(lab.transcript[-1])


def _take_down(lab: Lab) -> None:
    lab.run("ray", "down", str(lab.file), "-y")
    _await(
        lambda: not any(lab.on(machine, "pgrep 'raylet|gcs_server'") for machine in MACHINES),
        lambda: "the end of Ray on both machines",
    )


def _await_port(host: str, port: int, log: Path | None = None) -> None:
    def answers() -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection((host, port), timeout=2).close()
            return True
        return False

    _await(answers, lambda: f"an answer at {host}:{port} {log.read_text() if log else ''}")


def _await(holds: Callable[[], bool], what: Callable[[], str]) -> None:
    until = time.monotonic() + 300
    while not holds():
        assert time.monotonic() < until, f"waited in vain for {what()}"
        time.sleep(0.5)


if __name__ == "__main__":
    if "--inside" in sys.argv:
        inside(next(iter(sys.argv[sys.argv.index("--") + 1 :]), None))
    else:
        sys.exit(main())
