"""What a result was made with can be read from its record."""

import json
import platform
import re
import subprocess
import tomllib
from importlib.metadata import version
from typing import Any, NoReturn

import pytest

from study.engine.start.provenance import LIBRARIES, ROOT, provenance


@pytest.fixture
def record() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(provenance("python -m study.run a.yaml"))
    return found


def test_every_dependency_is_recorded_with_its_version(record: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [re.match(r"[\w.-]+", line) for line in project["dependencies"]]
    assert sorted(LIBRARIES) == sorted(found[0] for found in asked if found)
    assert record["versions"] == {name: version(name) for name in LIBRARIES}
    assert {"scipy", "scikit-image"} <= record["versions"].keys()


def test_command_and_system_are_recorded(record: dict[str, Any]) -> None:
    assert record["command"] == "python -m study.run a.yaml"
    assert (record["python"], record["platform"]) == (platform.python_version(), platform.platform())
    assert re.fullmatch("[0-9a-f]{64}", record["lock_sha256"])


def test_a_place_without_git_has_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> NoReturn:
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    record = json.loads(provenance("x"))
    assert (record["commit"], record["difference"], record["difference_sha256"]) == ("", "", "")
