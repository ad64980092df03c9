"""A study runs where containers put it: no home, no entry in passwd, folders that cannot be written."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
STUDY = {
    "study": "small",
    "data": {"dataset": "odir5k", "phantom_patients": 40, "image_px": 32},
    "model": {"backbone": "tiny"},
    "training": {"epochs": 1, "warmup_epochs": 0},
    "search": {"trials": 1},
    "resources": {"cpus_per_worker": 1},
}
# A user id that passwd does not know.
STRANGER = ("unshare", "--user", "--map-user=12345", "--map-group=12345")


def run(
    folder: Path, *options: str, timeout: int = 900, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """The command in a folder that cannot be written, with nothing in its environment but what is given."""
    if shutil.which("unshare") is None or subprocess.run([*STRANGER, "true"], capture_output=True).returncode:
        pytest.skip("needs user namespaces")
    file = folder / "small.yaml"
    file.write_text(yaml.safe_dump(STUDY))
    for name in ("closed", "home"):
        (folder / name).mkdir(mode=0o555)
    python = [sys.executable, "-m", "study.run", str(file)]
    return subprocess.run(
        [*STRANGER, *python, *options],
        cwd=folder / "closed",
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.mark.slow
def test_a_user_without_a_home_in_a_folder_that_is_closed(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    done = run(tmp_path, "--storage", str(tmp_path / "runs"), TMPDIR=str(tmp_path / "tmp"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "runs" / "small" / "report" / "index.html").is_file()
    assert list((tmp_path / "tmp" / "eyepair-study-12345" / ".cache" / "eyepair-study").iterdir())


@pytest.mark.slow
def test_a_home_that_is_closed_and_settings_of_others(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        *("--storage", str(tmp_path / "runs")),
        HOME=str(tmp_path / "home"),
        STUDY_CACHE=str(tmp_path / "cache"),
        TMPDIR="/" + 120 * "x",
        RAY_ADDRESS="10.9.9.9:6379",
        CUDA_VISIBLE_DEVICES="",
        http_proxy="http://127.0.0.1:9",
        LANG="C",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    token = tmp_path / "cache" / "auth_token"
    assert token.stat().st_mode & 0o077 == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--storage", "RUNS"], "the cache must be writable, got: [Errno 13] Permission denied"),
        ([], "`storage`: must be a place to write to"),
    ],
    ids=["cache", "storage"],
)
def test_what_cannot_be_written_is_one_message(tmp_path: Path, options: list[str], message: str) -> None:
    options = [str(tmp_path / "runs") if option == "RUNS" else option for option in options]
    done = run(tmp_path, *options, HOME=str(tmp_path / "home"))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
