import importlib.metadata
import json
import resource
import shutil
import socket
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from models.backbones import build_backbone
from study.engine.cluster.token import token_path
from study.engine.doctor.machine import (
    check_devices,
    check_disk,
    check_import,
    check_leftover,
    check_open_files,
    check_ports,
    check_python,
    check_shared_memory,
    check_token,
    check_torch,
    check_usage_statistics,
    check_versions,
)
from study.engine.doctor.study import check_data, check_storage, check_taken, check_weights
from study.engine.start.preparing import fetch_backbones
from study.spec.trial_spec import TrialSpec

Usage = namedtuple("Usage", "total used free")


def eyes(folder: Path, missing: int = 0) -> TrialSpec:
    """A table of two patients, of whose images some are missing."""
    rows = ["left,right,sick"] + [f"{i}l.png,{i}r.png,{i}" for i in range(2)]
    (folder / "eyes.csv").write_text("\n".join(rows))
    names = [f"{i}{eye}.png" for i in range(2) for eye in "lr"]
    for name in names[: len(names) - missing]:
        Image.new("RGB", (8, 8)).save(folder / name)
    data = {"dataset": {"name": "table", "labels": ["sick"]}, "root": str(folder / "eyes.csv")}
    return TrialSpec.read({"data": data, "model": {"backbone": "tiny"}})


def test_python() -> None:
    assert check_python((3, 11, 0)).state == "ok"
    assert check_python((3, 10, 14)).state == "problem"


def lock(folder: Path, **versions: str) -> Path:
    names = ", ".join(f'{{ name = "{name}" }}' for name in versions)
    text = f'[[package]]\nname = "own"\nsource = {{ editable = "." }}\ndependencies = [{names}]\n'
    text += "".join(
        f'[[package]]\nname = "{name}"\nversion = "{version}"\n' for name, version in versions.items()
    )
    (folder / "uv.lock").write_text(text)
    return folder / "uv.lock"


def test_versions_are_compared_with_the_lock_file(tmp_path: Path) -> None:
    rich = importlib.metadata.version("rich")
    assert check_versions(lock(tmp_path, rich=rich)).found == "the 1 of the lock file"
    assert check_versions(lock(tmp_path, rich="0.1")).found == f"rich {rich} (locked 0.1)"
    missing = check_versions(lock(tmp_path, **{"not-there": "1"}))
    assert (missing.state, missing.found) == ("problem", "not installed: not-there")
    assert check_versions(tmp_path / "none.lock").state == "warning"


def test_a_build_number_is_no_other_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.9.1+cu128")
    assert check_versions(lock(tmp_path, torch="2.9.1")).state == "ok"


def test_torch_and_torchvision_must_be_a_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_torch().state == "ok"
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: ["numpy", "torch==1.0"])
    found = check_torch()
    assert found.state == "problem"
    assert "which wants torch==1.0" in found.found


def test_a_module_that_cannot_be_imported() -> None:
    found = check_import("study.nowhere")
    assert found.state == "problem"
    assert "No module named 'study.nowhere'" in found.found


def test_a_gpu_that_torch_cannot_use_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(Path, "is_file", lambda path: str(path) == "/proc/driver/nvidia/version")
    assert check_devices().state == "problem"
    monkeypatch.setattr(Path, "is_file", lambda path: False)
    assert "laptop" in check_devices().found


def test_little_shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_shared_memory(tmp_path / "none").state == "warning"
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(64 * 2**20, 0, 64 * 2**20))
    found = check_shared_memory(tmp_path)
    assert found.found.startswith("64 MiB at")
    assert "--shm-size" in found.remedy


@pytest.mark.parametrize(
    ("usage", "state"), [((100, 50, 50), "ok"), ((100, 99, 1), "problem"), ((1000, 970, 30), "warning")]
)
def test_little_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, usage: tuple[int, ...], state: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(*(2**30 * n for n in usage)))
    assert check_disk("results", tmp_path / "not" / "yet").state == state


def test_open_files() -> None:
    assert check_open_files(256).state == "warning"
    assert check_open_files(65536).state == "ok"
    assert check_open_files(resource.RLIM_INFINITY).found == "unlimited"


def test_a_taken_port_is_named() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert check_ports((port,)).found == f"{port} (in use) is taken"
    assert check_ports((port,)).state == "ok"


def test_the_token_is_its_owners_and_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    token = tmp_path / "auth_token"
    assert check_token(token).state == "ok"
    token.write_text("secret")
    token.chmod(0o644)
    found = check_token(token)
    assert (found.state, found.remedy) == ("warning", f"chmod 600 {token}")
    assert "secret" not in repr(found)
    token.chmod(0o600)
    assert check_token(token).state == "ok"
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert check_token(token).state == "warning"
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    assert token_path() == token


def test_usage_statistics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.json"
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    assert "ray disable-usage-stats" in check_usage_statistics(config).found
    config.write_text(json.dumps({"usage_stats": False}))
    assert check_usage_statistics(config).found == "off"
    config.write_text("[broken")
    assert check_usage_statistics(config).state == "ok"
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    assert check_usage_statistics(config).state == "warning"


def test_a_note_of_a_dead_cluster(tmp_path: Path) -> None:
    note = tmp_path / "ray_current_cluster"
    assert check_leftover(note).found == "none noted"
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        note.write_text(f"127.0.0.1:{server.getsockname()[1]}\n")
        assert check_leftover(note).state == "ok"
    assert check_leftover(note).remedy == f"rm {note}"
    note.write_text("nonsense")
    assert check_leftover(note).state == "warning"


def test_storage(tmp_path: Path) -> None:
    assert check_storage(str(tmp_path / "a" / "b")).state == "ok"
    assert not (tmp_path / "a").exists()
    assert check_storage("/proc/nowhere").state == "problem"
    assert check_storage(f"file://{tmp_path}/runs").state == "ok"
    assert check_storage("nonsense://x").state == "problem"


def test_data_that_can_be_read_is_counted_and_missing_files_are_named(tmp_path: Path) -> None:
    assert check_data(eyes(tmp_path))[0].found == "table, 2 patients, all files there"


def test_missing_and_broken_images_are_named(tmp_path: Path) -> None:
    found = check_data(eyes(tmp_path, missing=1))[0]
    assert (found.state, found.found) == ("problem", "table, 2 patients; 1 images are missing: 1r.png")
    (tmp_path / "0l.png").write_text("no image")
    assert "not an image" in check_data(eyes(tmp_path, missing=4))[0].found


def test_weights_are_looked_for_and_never_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    file = tmp_path / "w.pth"
    assert check_weights("resnet18", str(file), None).state == "problem"
    file.touch()
    assert check_weights("resnet18", str(file), None).state == "ok"
    assert check_weights("resnet18", "imagenet", file).found == str(file)
    absent = check_weights("resnet18", "imagenet", None)
    assert absent.state == "warning"
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / absent.found.rpartition("/")[2]).touch()
    assert check_weights("resnet18", "imagenet", None).state == "ok"
    assert "huggingface.co/timm/resnet10t" in check_weights("timm/resnet10t", "imagenet", None).found
    assert check_weights("tiny", "imagenet", None).state == "problem"


def test_what_a_network_takes_from_a_file_is_said_and_recorded(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    net = build_backbone("tiny", image_px=32).net
    state = net.state_dict()
    save_file(state | {"fc.weight": torch.zeros(7, 64)}, file)
    trial = TrialSpec.read(
        {
            "data": {"dataset": "phantom", "image_px": 32},
            "model": {"backbone": {"name": "tiny", "weights": str(file)}},
        }
    )
    taken, left_out = check_taken(trial)
    assert taken.found.startswith("25 taken as they are: stage0.0.weight, ")
    assert (left_out.state, left_out.found) == ("ok", "1 left out: fc.weight (7, 64)")
    (note,) = fetch_backbones([trial])
    assert note.startswith(f"Tensors of {file} in tiny: 25 taken as they are")
    del state["stage0.0.weight"]
    save_file(state, file)
    (wrong,) = check_taken(trial)
    assert wrong.state == "problem"
    assert "does not fit the network: stage0.0.weight (missing)" in wrong.found
