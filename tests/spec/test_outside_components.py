"""A component of another installed package works in a study, and no name stands for two components."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from models.fusions.concat import Concat
from study.spec import components
from study.spec.errors import SpecError
from study.testing import check_component

ROOT = Path(__file__).parents[2]
FUSION = '''
"""The product of both eyes' vectors.

Source: this test.
Differs: nothing.
"""

import torch
from torch import Tensor

from models.contracts import Fusion
from models.poolings import Pool, global_average


class Product(Fusion):
    """Multiplies the pooled vectors of both eyes."""

    def __init__(self, channels: int, num_views: int, *, power: float = 1.0) -> None:
        super().__init__(out_features=channels, symmetric=True)
        self.power = power

    def forward(self, maps: Tensor, pool: Pool = global_average) -> Tensor:
        """The product over the views."""
        return torch.stack([pool(part) for part in maps.unbind(1)]).abs().prod(0) ** self.power
'''
PROJECT = """
[project]
name = "eyes-product"
version = "1.2"
[project.entry-points."eyepair_study.fusion"]
product = "eyes_product:Product"
"""


def forget() -> None:
    """Makes the registry look again for what is installed."""
    for known in (components.names, components.outside, components.load, components.schema):
        known.cache_clear()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with an installed package of two files."""
    source, site = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    (source / "pyproject.toml").write_text(PROJECT)
    (source / "eyes_product.py").write_text(FUSION)
    info = site / "eyes_product-1.2.dist-info"  # what an installer makes of the two
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: eyes-product\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[eyepair_study.fusion]\nproduct = eyes_product:Product\n")
    (site / "eyes_product.py").write_text(FUSION)
    monkeypatch.syspath_prepend(str(site))
    forget()
    yield site
    forget()
    sys.modules.pop("eyes_product", None)


@pytest.mark.usefixtures("site")
def test_a_component_of_a_package_is_one_like_any_other() -> None:
    assert "product" in components.names("fusion")
    assert components.outside_packages() == {"eyes-product": "1.2"}
    check_component("fusion", "product", power=2.0)
    component = components.parse("fusion", {"name": "product", "power": 2}, "model.fusion")
    assert components.build("fusion", component, 8, 2).power == 2.0
    with pytest.raises(SpecError, match=r"`model.fusion.product.powr`: unknown key. Did you mean `power`"):
        components.parse("fusion", {"name": "product", "powr": 2}, "model.fusion")


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (
            "concat = eyes_product:Product",
            r"got `concat` for models.fusions.concat and for eyes_prod",
        ),
        ("a = eyes_product:Nothing", r"`fusion` a of the package eyes-product 1.2: must be a class that can"),
        ("a = eyes_product:torch", r"must be a class, got <module 'torch'"),
    ],
)
def test_what_a_package_gets_wrong_is_said_with_its_name(site: Path, points: str, message: str) -> None:
    (site / "eyes_product-1.2.dist-info" / "entry_points.txt").write_text(
        f"[eyepair_study.fusion]\n{points}\n"
    )
    forget()
    with pytest.raises(SpecError, match=message):
        components.load("fusion", "a")


def test_two_packages_with_one_name_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    group = "eyepair_study.fusion"
    points = [EntryPoint("a", f"{package}:Mine", group) for package in ("one", "two")]
    monkeypatch.setattr(components, "entry_points", lambda group: points)
    components.outside.cache_clear()
    with pytest.raises(SpecError, match=r"got `a` for one:Mine and for two:Mine"):
        components.outside("fusion")
    components.outside.cache_clear()


def test_a_component_that_does_not_keep_its_contract_fails_the_check() -> None:
    with pytest.raises(AssertionError, match=r"Concat must subclass models.contracts.Context"):
        check_component("context", Concat)
    with pytest.raises(ValueError, match=r"must be a kind that can be checked, got `fusions`"):
        check_component("fusions", Concat)


@pytest.mark.slow
def test_a_study_uses_the_component_of_a_package(site: Path, tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "study": "small",
                "data": {"dataset": "odir5k", "phantom_patients": 40, "image_px": 32},
                "model": {"backbone": "tiny", "fusion": {"name": "product", "power": 1.5}},
                "training": {"epochs": 1, "warmup_epochs": 0},
                "search": {"trials": 1},
                "resources": {"cpus_per_worker": 1},
            }
        )
    )
    script = dedent(
        """
        import json, study
        run = study.run_study("small.yaml")
        trial = run.trials().set_index("trial").loc["search-00000"]
        print("found", trial["spec"]["model"]["fusion"], trial["provenance"]["versions"]["eyes-product"])
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "PYTHONPATH": f"{ROOT}:{site}",
            "STUDY_CACHE": str(tmp_path / "cache"),
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "found {'name': 'product', 'power': 1.5} 1.2" in done.stdout
