"""Machines for the tests of `ray up`: namespaces of this one with a user, an sshd and addresses of their own.

They need Linux, root, sshd, ssh, rsync, ip, useradd and unshare. The machines, and all that they start, end
with the process that made them. Nothing outside of them is touched: `ray stop`, which ends every Ray that it
can see, sees only theirs.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
TOOLS = ("ssh", "ssh-keygen", "rsync", "ip", "unshare", "useradd", "/usr/sbin/sshd")
USER = "ubuntu"  # as both cluster files say
CHATTER = re.compile(
    r"\d\s+V*(INFO|WARN|SUCC)|updates properly|Shared connection|Permanently added|please use a directory"
    r"|^reading images|^\d+/\d+ (done|stopped)|^[0-9a-f]{64}$"
    r"|^sending incremental|^sent [\d,]+ bytes|^total size|^[\w/.-]+(/|\.\w+)$|^LICENSE$|^auth_token$"
)
COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
MACHINE = """
set -e
mount --make-rprivate /
mount -t proc proc /proc
hostname $NAME
mount -t tmpfs -o size=2g tmpfs /dev/shm
own=$LAB/$NAME
mkdir -p $own /run/sshd
mount -t tmpfs tmpfs $own
for folder in $OWNER /home /etc; do  # each below a layer of this machine; an interpreter may lie there
  layer=$own/layers$folder
  mkdir -p $layer $layer.work
  mount -t overlay overlay -o lowerdir=$folder,upperdir=$layer,workdir=$layer.work $folder
done
id $LOGIN >/dev/null 2>&1 || useradd --create-home --shell /bin/bash $LOGIN
usermod --password '*' $LOGIN  # nobody can log in by one, and sshd does not call the account locked
chmod a+x $OWNER /home/*
home=$(eval echo ~$LOGIN)
rm -rf $home/.ssh $home/.ray $home/.cache
install -d -m 700 -o $LOGIN $home/.ssh
install -m 600 -o $LOGIN $LAB/$NAME.keys $home/.ssh/authorized_keys
install -m 600 $LAB/hostkey /etc/ssh/lab_key
mkdir -m 1777 $own/tmp
mkdir -p $own$LAB/shared
mount --bind $LAB/shared $own$LAB/shared
mount --rbind $own/tmp /tmp
exec /usr/sbin/sshd -D -e -f /dev/null -o HostKey=/etc/ssh/lab_key -o PidFile=none -o UsePAM=no \\
    -o PasswordAuthentication=no -o StrictModes=no -o "SetEnv=$SETTINGS"
"""


def main(
    inside: Callable[[str | None], None], *, needs: Sequence[str] = (), modules: Sequence[str] = ()
) -> int:
    """Runs a test in namespaces of its own; 0 also where it may not run, after saying why.

    Args:
        inside: The test; it gets the path of its log, the script's first argument.
        needs: Tools beside those of the machines.
        modules: What must be installed beside the project, from the dependency group `oracles`.
    """
    script = Path(sys.argv[0])
    if "--inside" in sys.argv:
        inside(next(iter(sys.argv[sys.argv.index("--") + 1 :]), None))
        return 0
    missing = [tool for tool in (*TOOLS, *needs) if shutil.which(tool) is None]
    missing += [f"{name} (uv sync --group oracles)" for name in modules if find_spec(name) is None]
    if sys.platform != "linux" or os.geteuid() != 0 or missing:
        why = f"{', '.join(missing)} missing" if missing else "needs root on Linux, for namespaces and sshd"
        print(f"SKIPPED {script.stem}: {why}")
        return 0
    own = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if subprocess.run([*own, "true"], capture_output=True, check=False).returncode:
        print(f"SKIPPED {script.stem}: this system gives no namespaces (an unprivileged container?)")
        return 0
    command = shlex.join([sys.executable, str(script.resolve()), "--inside", "--", *sys.argv[1:2]])
    # bash, as process 1, takes care of processes whose parents have ended.
    return subprocess.run([*own, "bash", "-c", f"{command}; exit $?"], check=False).returncode


class Lab:
    """A network with machines, and the commands that a user would type beside them.

    Args:
        folder: Keys and logs; its folder `shared` is the same on all machines.
        gateway: Address of this side of the network, with the length of its prefix.
        environment: Environment of the user's commands, beside what every command needs.

    Attributes:
        transcript: What was typed and said.
    """

    def __init__(self, folder: Path, gateway: str, environment: Mapping[str, str]) -> None:
        self.folder, self.shared, self.home = folder, folder / "shared", folder / "client"
        self.gateway, self._prefix = gateway.split("/")
        self.shared.mkdir()
        self.shared.chmod(0o777)
        (self.home / ".ray").mkdir(parents=True)
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin",
            "HOME": str(self.home),
            "USER": "root",
            "LANG": "C.UTF-8",
            "TMPDIR": str(folder),
            "RAY_AUTH_MODE": "token",
            "RAY_USAGE_STATS_ENABLED": "0",
            **environment,
        }
        self.transcript: list[str] = []
        self._machines: dict[str, subprocess.Popen[bytes]] = {}
        self.make_key("hostkey")
        Path("/run/netns").mkdir(exist_ok=True)
        _each("mount -t tmpfs tmpfs /run/netns", "ip link set lo up", "ip link add lab type bridge")
        _each(f"ip addr add {gateway} dev lab", "ip link set lab up")

    def make_key(self, name: str) -> Path:
        """Makes a pair of ssh keys."""
        key = self.folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        return key

    def start_machine(
        self, name: str, address: str, key: str, *, public: str | None = None, settings: str = ""
    ) -> None:
        """Starts a machine; its sshd answers a little later.

        Args:
            name: Its name, of at most fourteen letters.
            address: Its address in the network.
            key: Public key of the user who may log in.
            public: A second address, by which it is known outside.
            settings: Environment of all that is started over ssh, as NAME=VALUE NAME=VALUE.
        """
        _each(
            f"ip netns add {name}",
            f"ip link add v{name} type veth peer name eth0 netns {name}",
            f"ip link set v{name} master lab up",
            f"ip -n {name} addr add {address}/{self._prefix} dev eth0",
            f"ip -n {name} link set eth0 up",
            f"ip -n {name} link set lo up",
            f"ip -n {name} route add default via {self.gateway} src {address}",
        )
        if public:
            _each(
                f"ip -n {name} addr add {public}/32 dev eth0",
                f"ip route replace {public}/32 via {address}",
            )
        (self.folder / f"{name}.keys").write_text(key)
        # The environment is there before the project: the folder stands for an installation from there.
        environment = {
            **os.environ,
            "NAME": name,
            "LAB": str(self.folder),
            "OWNER": str(Path("~root").expanduser()),
            "LOGIN": USER,
            "SETTINGS": f"PYTHONPATH=/home/{USER}/eyepair-study {settings}",
        }
        own = f"ip netns exec {name} unshare --pid --fork --mount --uts --ipc --kill-child".split()
        with (self.folder / f"{name}.log").open("wb") as said:
            process = subprocess.Popen(
                [*own, "bash", "-c", MACHINE], env=environment, stdout=said, stderr=said
            )
        self._machines[name] = process

    def stop_machine(self, name: str) -> None:
        """Ends a machine and all that runs there at once, as a power cut would."""
        process = self._machines.pop(name)
        process.kill()
        process.wait()
        _each(f"ip netns del {name}")

    def log(self, name: str) -> str:
        """What the sshd of a machine has said."""
        return (self.folder / f"{name}.log").read_text()

    def run(self, *command: str, cwd: Path = PROJECT, timeout_s: float = 600) -> str:
        """Runs a command as a user beside the project would; what it says goes to the transcript."""
        began = time.monotonic()
        done = subprocess.run(
            command,
            cwd=cwd,
            env=self.environment,
            timeout=timeout_s,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        words = self.note(command, done.stdout, f"{done.returncode}, {time.monotonic() - began:.0f} s")
        assert not done.returncode, f"{words} ended with {done.returncode}"
        return done.stdout

    def note(self, command: Sequence[str], said: str, end: str) -> str:
        """Notes a command in the transcript, without Ray's own remarks; gives the command in words."""
        words = " ".join(command).replace(str(self.folder), "LAB")
        text = COLOUR.sub("", said).replace(str(self.folder), "LAB")
        kept = "\n".join(line for line in text.splitlines() if line.strip() and not CHATTER.search(line))
        self.transcript.append(f"$ {words}\n{kept}\n[{end}]\n")
        print(self.transcript[-1], flush=True)
        return words

    def on(self, address: str, key: Path, command: str) -> str:
        """Runs a command on a machine over ssh, and gives what it says, also where it fails."""
        options = ["-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oLogLevel=ERROR"]
        ssh = ["ssh", *options, "-i", str(key), f"{USER}@{address}", command]
        return subprocess.run(ssh, capture_output=True, text=True, timeout=60, check=False).stdout

    def make_token(self) -> None:
        """Makes the cluster's token as both cluster files say."""
        self.run("ray", "get-auth-token", "--generate")
        (self.home / ".ray/auth_token").chmod(0o600)


@contextlib.contextmanager
def lab_folder() -> Iterator[Path]:
    """A folder for a lab, with a short name since sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="lab-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def use_this_environment(cluster: dict[str, Any]) -> str:
    """Puts a link to this environment in the place of `uv sync`, since a lab cannot fetch another.

    Args:
        cluster: Content of a cluster file, which is changed.

    Returns:
        The command that fetches uv, which is left out.
    """
    commands: list[str] = cluster["setup_commands"]
    fetching = [command for command in commands if "uv" in command.split("eyepair-study/.venv")[0]]
    assert len(fetching) == 2, "the file's commands that fetch uv and the environment"
    link = f"ln -sfn {Path(sys.executable).parents[1]} ~/eyepair-study/.venv"
    commands[commands.index(fetching[1])] = link
    commands.remove(fetching[0])
    return fetching[0]


def await_port(host: str, port: int, log: Callable[[], str] = str) -> None:
    """Waits until somebody listens at the address."""

    def answers() -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection((host, port), timeout=2).close()
            return True
        return False

    await_that(answers, lambda: f"an answer at {host}:{port} {log()}")


def await_that(holds: Callable[[], bool], what: Callable[[], str], timeout_s: float = 300) -> None:
    """Waits until something holds."""
    until = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < until, f"waited in vain for {what()}"
        time.sleep(0.5)


def _each(*commands: str) -> None:
    for command in commands:
        subprocess.run(command.split(), check=True)
