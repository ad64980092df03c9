"""Safe by default: nothing listens to strangers, runs what it reads, has no bound or leaves the machine."""

import ast
import os
import pickle
import stat
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from models.backbones import build_backbone
from study import report, run
from study.data.datasets.table import Table
from study.data.images import ImageFolder, quiet_pillow, read_image
from study.data.sheets import read_sheet
from study.engine.cluster.connection import RAY_SETTINGS
from study.engine.cluster.token import keep_token_private
from study.engine.orders.pending_orders import PendingOrders
from study.evidence.store import Store
from study.spec.components import load
from study.spec.errors import BadImageError, DataError, SpecError
from tests.reporting.fake_run import HOSTILE, fake_run

ROOT = Path(__file__).parents[1]
SOURCES = sorted(p for package in ("study", "models") for p in (ROOT / package).rglob("*.py"))
LISTENING = """
import os, sys
from pathlib import Path
import ray
from study.engine.cluster.connection import connected

def family():
    parents = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    ours = {os.getpid()}
    while new := {p for p, parent in parents.items() if parent in ours} - ours:
        ours |= new
    return ours

def listening():
    inodes = set()
    for pid in family():
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                inodes.add(os.readlink(link))
            except OSError:
                continue
    lines = []
    for name in ("tcp", "tcp6"):
        lines += [line.split() for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    ours = [fields for fields in lines if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes]
    return {fields[1].rpartition(":")[0] for fields in ours}

with connected("local", 2, Path("ray.log")):
    ray.get(ray.remote(num_cpus=0)(lambda: 1).remote())
    folder = Path(ray._private.worker._global_node.get_session_dir_path()).parents[1]
    print(*listening(), oct(folder.stat().st_mode & 0o777), os.environ["RAY_USAGE_STATS_ENABLED"])
print(folder.exists())
"""
LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, (os.environ["EVIL"],)


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that appears when something was executed."""
    monkeypatch.setenv("EVIL", str(tmp_path / "executed"))
    return tmp_path / "executed"


@pytest.mark.slow
@pytest.mark.promise
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_local_cluster_listens_on_loopback_only_behind_a_token_that_is_never_logged(tmp_path: Path) -> None:
    token = tmp_path / "token"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_TOKEN_PATH": str(token)}
    done = subprocess.run(
        [sys.executable, "-c", LISTENING],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *addresses, mode, usage_statistics, remains = done.stdout.split()
    assert addresses
    assert set(addresses) <= LOOPBACK
    assert mode == "0o700"  # Ray's sockets and logs are its owner's alone
    assert usage_statistics == "0"
    assert remains == "False"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert token.read_text() not in done.stdout + done.stderr + (tmp_path / "ray.log").read_text()


def test_the_token_is_made_private_and_made_so_where_ray_left_it_open(tmp_path: Path) -> None:
    new, old = tmp_path / ".ray" / "auth_token", tmp_path / "old"
    keep_token_private(new)
    assert stat.S_IMODE(new.stat().st_mode) == 0o600
    assert len(bytes.fromhex(new.read_text())) == 32
    old.write_text("a")
    old.chmod(0o644)
    keep_token_private(old)
    assert (stat.S_IMODE(old.stat().st_mode), old.read_text()) == (0o600, "a")
    before = new.read_text()
    keep_token_private(new)
    assert new.read_text() == before


def test_nothing_is_reported_to_anyone_by_default() -> None:
    assert RAY_SETTINGS["RAY_USAGE_STATS_ENABLED"] == "0"
    assert "usage statistics" in (ROOT / "study/engine/doctor/machine.py").read_text()  # the doctor says so


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_source_executes_what_it_reads(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = {alias.name for alias in node.names} | {str(getattr(node, "module", ""))}
            assert not modules & {"marshal", "shelve", "dill", "joblib", "cloudpickle"}
            assert "pickle" not in modules or {a.name for a in node.names} == {
                "UnpicklingError"
            }  # an error's class is no reader
        if not isinstance(node, ast.Call):
            continue
        name, keywords = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
        assert name not in (
            "eval",
            "exec",
            "compile",
            "os.system",
            "os.popen",
            "pd.read_pickle",
            "yaml.unsafe_load",
            "yaml.full_load",
        ), name
        assert name != "yaml.load" or ast.unparse(node.args[1]) == "_Loader"  # a subclass of SafeLoader
        assert (
            name not in ("torch.load", "torch.hub.load_state_dict_from_url")
            or keywords.get("weights_only") == "True"
        )
        assert not name.endswith("get_state_dict") or keywords.get("weights_only") == "True"
        assert keywords.get("allow_pickle", "False") == "False"
        assert keywords.get("shell", "False") == "False"


def test_no_object_is_made_from_a_study_file(
    tmp_path: Path, evil: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(f"study: !!python/object/apply:os.mkdir ['{evil}']\n")
    assert run.main(["a.yaml"]) == 2
    assert "must be YAML" in capsys.readouterr().err
    assert not evil.exists()


@pytest.mark.parametrize(
    "name", ["os", "../../study/run", "_gates", "__import__('os').mkdir('x')", "concat.os", ""]
)
def test_a_component_is_a_file_of_its_folder_and_nothing_else(name: str) -> None:
    with pytest.raises(SpecError, match="must be a known fusion"):
        load("fusion", name)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_weights_are_tensors_or_nothing(tmp_path: Path, evil: Path, suffix: str) -> None:
    file = tmp_path / f"weights{suffix}"
    torch.save({"state_dict": Evil()}, file)
    with pytest.raises(ValueError, match="cannot be read as plain tensors"):
        build_backbone("tiny", weights=str(file), image_px=32)
    assert not evil.exists()


def test_a_checkpoint_is_tensors_or_nothing(tmp_path: Path, evil: Path) -> None:
    folder = tmp_path / "run" / "pending" / "search-00000"
    folder.mkdir(parents=True)
    torch.save({"epoch": Evil()}, folder / "checkpoint.pt")
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        PendingOrders(Store(tmp_path / "run")).load_checkpoint("search-00000")
    assert not evil.exists()


@pytest.mark.parametrize("path", ["../secret.png", "a/../../secret.png", "/etc/passwd"])
def test_no_path_of_a_manifest_leaves_the_data(tmp_path: Path, path: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "secret.png").write_bytes(b"x")
    with pytest.raises(BadImageError, match="leads out of the data's folder"):
        ImageFolder(str(data))(path)
    pd.DataFrame({"left": [path], "a": [1]}).to_csv(data / "sheet.csv", index=False)
    with pytest.raises(DataError, match="a path must stay within"):
        Table(data / "sheet.csv", right=None, labels=["a"]).read()


@pytest.mark.parametrize("side", [13_000, 60_000])
def test_an_image_that_unpacks_to_more_than_the_memory_is_refused(tmp_path: Path, side: int) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    file = tmp_path / "bomb.png"
    file.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10**6)))
        + chunk(b"IEND", b"")
    )
    with quiet_pillow(), pytest.raises(BadImageError, match="more than 100 megapixels"):
        read_image(file)


def test_a_sheet_that_unpacks_to_more_than_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.data.sheets.MAX_BYTES", 10**6)
    with zipfile.ZipFile(tmp_path / "bomb.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", bytes(10**7))
    assert (tmp_path / "bomb.xlsx").stat().st_size < 10**5
    pd.DataFrame({"left": range(10**6)}).to_parquet(tmp_path / "bomb.parquet")
    for file in ("bomb.xlsx", "bomb.parquet"):
        with pytest.raises(DataError, match="must unpack to at most"):
            read_sheet(tmp_path / file, ["left"])


def test_a_report_escapes_what_it_shows(tmp_path: Path) -> None:
    folder = fake_run(tmp_path, hostile=True)
    assert report.main([str(folder)]) == 0
    page = (folder / "report" / "index.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    assert HOSTILE not in page


def test_a_record_is_read_as_data(tmp_path: Path, evil: Path) -> None:
    folder = fake_run(tmp_path)
    table = pq.read_table(folder / "study.parquet")
    hostile = f"{{{{ ''.__class__.__mro__ }}}} !!python/object/apply:os.mkdir ['{evil}']"
    where = table.schema.get_field_index("title")
    pq.write_table(
        table.set_column(
            where, table.schema.field(where), pa.array([hostile], table.schema.field(where).type)
        ),
        folder / "study.parquet",
    )
    assert report.main([str(folder)]) == 0
    page = (folder / "report" / "index.html").read_text()
    assert not evil.exists()
    assert "__mro__ }}" in page  # shown, not evaluated


@pytest.mark.parametrize("name", ["cluster.yaml", "cluster.local.yaml"])
def test_a_cluster_file_opens_no_port_to_strangers(name: str) -> None:
    commands = [
        c
        for key, part in yaml.safe_load((ROOT / name).read_text()).items()
        if key.endswith("start_ray_commands")
        for c in part
    ]
    starts = [command for command in commands if "ray start" in command]
    assert len(starts) == 2
    assert all(
        "RAY_AUTH_MODE=token" in c and "RAY_USAGE_STATS_ENABLED=0" in c and "0.0.0.0" not in c for c in starts
    )
