"""A network that was exported gives what the trial gives, without this project."""

import math
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from study import predict
from study.data.cohort import SplitImages, open_cohort
from study.engine.applying.apply import ChosenTrial, chosen_trial, stored_network
from study.engine.applying.export import WRITERS, Exported, export_network
from study.engine.training.network import build_network
from study.evidence.store import Store
from study.spec import components
from study.spec.errors import SpecError, StorageError
from study.spec.trial_spec import TrialSpec
from tests.engine.one_trial import order_of, train_whole
from tests.reporting.fake_run import FakeRun

SPEC = {
    "data": {"dataset": "odir5k", "phantom_patients": 40, "image_px": 32, "align": "flip_right"},
    "model": {"backbone": "tiny", "fusion": "difference"},
    "training": {"epochs": 1, "batch_size": 16, "warmup_epochs": 0},
}
LABELS = list("NDGCAHMO")
STUDY = {"labels": LABELS, "num_views": 2, "study": "small"}
STRANGERS = {
    "net.pt2": """
import json, sys, torch
extra = {"settings.json": ""}
program = torch.export.load(sys.argv[1], extra_files=extra)
images = torch.load(sys.argv[2])
torch.save(program.module()(images), sys.argv[3])
assert "study" not in sys.modules
print(json.loads(extra["settings.json"])["labels"])
""",
    "net.onnx": """
import json, sys, torch, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
images = torch.load(sys.argv[2])
torch.save(torch.tensor(session.run(None, {"images": images.numpy()})[0]), sys.argv[3])
assert "study" not in sys.modules
print(json.loads(session.get_modelmeta().custom_metadata_map["settings.json"])["labels"])
""",
}
FILES = list(STRANGERS)
MODELS = [
    {"attention": {"name": "mirror", "flips": "image"}},
    {"context": "self_attention"},
]


def needs_onnx(file: str) -> None:
    if file.endswith(".onnx"):
        pytest.importorskip("onnxscript", reason="uv sync --extra onnx")
        pytest.importorskip("onnxruntime", reason="uv sync --extra onnx")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a run of one trial and with its image cache."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("export")
    FakeRun(folder / "run", synthetic=True).study()
    train_whole(order_of(TrialSpec.read(SPEC)), folder / "run", folder / "cache")
    yield folder
    torch.set_num_threads(threads)


@pytest.fixture
def trial(trained: Path) -> ChosenTrial:
    return replace(chosen_trial(Store(trained / "run"), None), head="network")


@pytest.fixture
def samples(trained: Path, trial: ChosenTrial) -> SplitImages:
    return open_cohort(trial.spec.data, trained / "cache").images_of("test")


@pytest.mark.parametrize("file", FILES)
def test_the_file_gives_the_probabilities_without_this_project(
    trained: Path, trial: ChosenTrial, samples: SplitImages, tmp_path: Path, file: str
) -> None:
    needs_onnx(file)
    store = Store(trained / "run")
    assert export_network(store, trial, STUDY, np.full(8, 0.5), tmp_path / file, samples) < 1e-4
    images = torch.rand(5, 2, 3, 32, 32)
    torch.save(images, tmp_path / "images.pt")
    files = [str(tmp_path / name) for name in (file, "images.pt", "scores.pt")]
    done = subprocess.run(
        [sys.executable, "-c", STRANGERS[file], *files],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(LABELS)
    net = stored_network(store, trial.key, trial.spec, 8, 2).eval()
    mean, deviation = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    turned = torch.stack([images[:, 0], images[:, 1].flip(-1)], 1)
    with torch.no_grad():
        wanted = net.head.scores(net((turned - mean) / deviation).logits)
    torch.testing.assert_close(torch.load(files[2]), wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_prepares_the_images_otherwise_is_refused(
    trained: Path,
    trial: ChosenTrial,
    samples: SplitImages,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    file: str,
) -> None:
    needs_onnx(file)
    monkeypatch.setattr("study.engine.applying.export.NORMALISE", {"imagenet": ((0.5,) * 3, (0.3,) * 3)})
    with pytest.raises(SpecError, match=r"must give the probabilities of the trial to 0.0001, got .* off"):
        export_network(Store(trained / "run"), trial, STUDY, np.full(8, 0.5), tmp_path / file, samples)
    assert not (tmp_path / file).exists()


def test_a_file_that_gives_no_numbers_is_refused(
    trained: Path, trial: ChosenTrial, samples: SplitImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(module: nn.Module, noise: Tensor, settings: str, path: Path) -> Callable[[Tensor], Tensor]:
        path.touch()
        return lambda images: torch.full((len(images), 8), math.nan)

    monkeypatch.setitem(WRITERS, ".pt2", write)
    with pytest.raises(SpecError, match="got nan off"):
        export_network(Store(trained / "run"), trial, STUDY, np.full(8, 0.5), tmp_path / "net.pt2", samples)


def test_the_command_checks_the_file_on_the_test_patients(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(predict, "CACHE", trained / "cache")
    monkeypatch.setattr(predict, "chosen_trial", network_trial)
    run, file = str(trained / "run"), str(tmp_path / "net.pt2")
    assert predict.main([run, "--export", file]) == 0
    assert "on the 7 test samples its probabilities differ by at most" in capsys.readouterr().out
    lost = tmp_path / "lost"
    assert predict.main([run, "--export", file, "--root", str(lost)]) == 2
    assert f"must be an existing file or folder, got `{lost}`" in capsys.readouterr().err


def network_trial(store: Store, key: str | None) -> ChosenTrial:
    return replace(chosen_trial(store, key), head="network")


def test_where_the_data_are_not_the_command_says_what_it_checked(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def moved(store: Store, key: str | None) -> ChosenTrial:
        found = network_trial(store, key)
        data = found.spec.data.model_copy(update={"root": str(tmp_path / "moved")})
        return replace(found, spec=found.spec.model_copy(update={"data": data}))

    monkeypatch.setattr(predict, "chosen_trial", moved)
    assert predict.main([str(trained / "run"), "--export", str(tmp_path / "net.pt2")]) == 0
    said = capsys.readouterr().out
    assert "not checked on the test patients: `data.root`: must be an existing file or folder" in said
    assert "on two images of noise its probabilities differ by at most" in said


def test_a_trial_of_another_head_has_no_network_to_export(tmp_path: Path) -> None:
    trial = ChosenTrial("a", TrialSpec.read(SPEC), "knn")
    with pytest.raises(SpecError, match=r"needs a trial whose network's own head was chosen, got knn for a"):
        export_network(Store(tmp_path), trial, {}, np.full(8, 0.5), tmp_path / "net.pt2", None)


def test_a_file_has_a_known_ending_a_place_and_its_packages(
    trained: Path, trial: ChosenTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(trained / "run")
    for name, error, words in (
        ("net.pth", SpecError, r"must end with .pt2 or .onnx, got `.*net.pth`"),
        ("missing/net.pt2", StorageError, r"must be a file that can be written, got `.*missing/net.pt2`"),
        ("net.onnx", SpecError, r"ONNX needs packages that are not installed.*uv sync --extra onnx"),
    ):
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        with pytest.raises(error, match=words):
            export_network(store, trial, STUDY, np.full(8, 0.5), tmp_path / name, None)


def distance(model: Mapping[str, object], path: Path) -> float:
    """How far the file of an untrained network with that part is off, on more samples than it was made of."""
    spec = TrialSpec.read({"data": {"dataset": "odir5k"}, "model": {"backbone": "tiny", **model}})
    module = Exported(build_network(spec, 8, 2, torch.eye(5, 8)), "half", "none").eval()
    images = torch.rand(5, 2, 3, 64, 64)
    with torch.no_grad():
        apply = WRITERS[path.suffix](module, images[:3], "{}", path)
        return float((apply(images) - module(images)).abs().max())


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("model", MODELS, ids=str)
def test_parts_that_compare_positions_take_any_number_of_samples(
    model: Mapping[str, object], file: str, tmp_path: Path
) -> None:
    needs_onnx(file)
    assert distance(model, tmp_path / file) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("kind", ["attention", "context", "fusion", "head", "pooling"])
def test_every_component_can_be_exported(kind: str, file: str, tmp_path: Path) -> None:
    needs_onnx(file)
    for name in components.names(kind):
        assert distance({kind: name}, tmp_path / file) < 1e-5, name
