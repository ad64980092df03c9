"""Runs that the reporting tests share: they are built once and only read."""

from pathlib import Path

import pytest

from study.reporting.assembly import Report, build_report
from study.reporting.run import Run, load_run
from tests.reporting.fake_run import fake_run


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_run(tmp_path_factory.mktemp("runs") / "plain")


@pytest.fixture(scope="session")
def run(run_folder: Path) -> Run:
    return load_run(str(run_folder))


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Synthetic, and with HTML, LaTeX and Markdown in every text."""
    return load_run(str(fake_run(tmp_path_factory.mktemp("runs") / "hostile", hostile=True, synthetic=True)))


@pytest.fixture(scope="session")
def ultrasound(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two classes."""
    return load_run(
        str(fake_run(tmp_path_factory.mktemp("runs") / "ultrasound", kind="classes", num_search=6))
    )


@pytest.fixture(scope="session")
def retina(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Five grades."""
    return load_run(str(fake_run(tmp_path_factory.mktemp("runs") / "retina", kind="grades", num_search=6)))


@pytest.fixture(scope="session")
def report(run: Run) -> Report:
    return build_report(run)


@pytest.fixture(scope="session")
def hostile_report(hostile: Run) -> Report:
    return build_report(hostile)
