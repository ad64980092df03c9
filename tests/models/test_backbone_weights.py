"""Weights from local files: every form that fits, and a clear message for every form that does not."""

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from models.backbones import StagedBackbone, build_backbone

torch.set_num_threads(1)


@pytest.fixture
def state() -> dict[str, Tensor]:
    return state_of("tiny", "net.")


def state_of(name: str, prefix: str) -> dict[str, Tensor]:
    """The weights of a backbone with names as in a file of its authors."""
    torch.manual_seed(3)
    state = build_backbone(name, image_px=32).state_dict()
    return {key.removeprefix(prefix): value for key, value in state.items()}


def load(path: Path) -> StagedBackbone:
    return build_backbone("tiny", weights=str(path), image_px=32)


def first(backbone: StagedBackbone) -> Tensor:
    return backbone.get_parameter("net.stage0.0.weight")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
def test_half_precision_files_become_single(tmp_path: Path, state: dict[str, Tensor], suffix: str) -> None:
    half = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    path = tmp_path / f"w{suffix}"
    save_file(half, path) if suffix == ".safetensors" else torch.save(half, path)
    backbone = load(path)
    assert first(backbone).dtype == torch.float32
    torch.testing.assert_close(first(backbone), state["stage0.0.weight"], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("nest", ["state_dict", "model", "teacher"])
@pytest.mark.parametrize("prefix", ["", "module.", "encoder.backbone."])
def test_checkpoints_of_training_scripts_are_unpacked(
    tmp_path: Path, state: dict[str, Tensor], nest: str, prefix: str
) -> None:
    torch.save({nest: {prefix + k: v for k, v in state.items()}, "epoch": 3}, tmp_path / "w.pth")
    torch.testing.assert_close(first(load(tmp_path / "w.pth")), state["stage0.0.weight"])


def test_classifier_and_counters_may_be_missing_or_strange(tmp_path: Path) -> None:
    whole = state_of("timm/resnet10t", "net.net.")
    state = {key: value for key, value in whole.items() if not key.endswith("num_batches_tracked")}
    classifiers: list[dict[str, Tensor]] = [
        {},
        {"fc.weight": torch.zeros(7, 512), "fc.bias": torch.zeros(7)},
        {"decoder.x": torch.zeros(1)},
    ]
    for classifier in classifiers:
        save_file(state | classifier, tmp_path / "w.safetensors")
        backbone = build_backbone("timm/resnet10t", weights=str(tmp_path / "w.safetensors"), image_px=32)
        torch.testing.assert_close(
            backbone.state_dict()["net.net.layer4.0.conv1.weight"], state["layer4.0.conv1.weight"]
        )


def test_missing_and_misshapen_keys_are_listed(tmp_path: Path, state: dict[str, Tensor]) -> None:
    del state["stage1.0.weight"]
    state["stage2.1.bias"] = torch.zeros(3)
    save_file(state, tmp_path / "w.safetensors")
    listed = r"stage1.0.weight \(missing\), stage2.1.bias \(has \(3,\), needs \(64,\)\)"
    with pytest.raises(ValueError, match=rf"w.safetensors does not fit.*{listed}"):
        load(tmp_path / "w.safetensors")


def test_only_the_first_wrong_keys_are_listed(tmp_path: Path) -> None:
    save_file({"other": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"and 20 more. Name the backbone"):
        load(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.pth", None, "an existing file"),
        ("w.txt", b"x", "must end in .safetensors"),
        ("w.pth", b"not a pickle", "cannot be read as plain tensors"),
        ("w.pth", b"", "cannot be read as plain tensors"),
        ("w.safetensors", b"\x00" * 20, "cannot be read as plain tensors"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / name)


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (eval, ("1/0",))


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    torch.save({"stage0.0.weight": Evil()}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="cannot be read as plain tensors"):
        load(tmp_path / "w.pth")


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="must hold a state dict, got dict"):
        load(tmp_path / "w.pth")


def test_positions_are_resized_for_another_image_size(tmp_path: Path) -> None:
    state = state_of("vit_tiny_patch16_224", "net.net.")
    save_file(state, tmp_path / "vit.safetensors")
    large = build_backbone("vit_tiny_patch16_224", weights=str(tmp_path / "vit.safetensors"), image_px=64)
    assert large(torch.randn(1, 3, 64, 64)).shape == (1, 192, 4, 4)
    torch.testing.assert_close(
        large.state_dict()["net.net.blocks.0.mlp.fc1.weight"], state["blocks.0.mlp.fc1.weight"]
    )


@pytest.mark.parametrize("nest", ["model", "state_dict", "teacher", "ema"])
@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_what_a_training_script_saves_beside_the_weights_is_no_obstacle(
    tmp_path: Path, state: dict[str, Tensor], nest: str, prefix: str
) -> None:
    beside = {"args": Namespace(out=Path("/runs"), lr=1e-3), "best": np.float64(0.5), "scaler": {}}
    torch.save({nest: {prefix + k: v for k, v in state.items()}, **beside}, tmp_path / "w.pth")
    torch.testing.assert_close(first(load(tmp_path / "w.pth")), state["stage0.0.weight"])


def test_two_branches_are_not_taken_for_one(tmp_path: Path, state: dict[str, Tensor]) -> None:
    both = {f"{side}.{name}": value.clone() for side in ("left", "right") for name, value in state.items()}
    save_file(both, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"must hold one network, got 2 \(left\., right\.\)"):
        load(tmp_path / "w.safetensors")


def test_a_refused_object_is_named_in_one_line(tmp_path: Path) -> None:
    torch.save({"stage0.0.weight": Evil()}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"\(it holds \S*eval, which could run code\)\. Fetch"):
        load(tmp_path / "w.pth")


def test_what_became_of_each_tensor_is_said(tmp_path: Path, state: dict[str, Tensor]) -> None:
    save_file(state | {"head.weight": torch.zeros(7, 64)}, tmp_path / "w.safetensors")
    taken = load(tmp_path / "w.safetensors").taken
    assert taken is not None
    assert (len(taken.renamed), len(taken.changed)) == (0, 0)
    assert taken.left_out == ["head.weight (7, 64)"]
    num_taken = sum(not name.endswith("num_batches_tracked") for name in state)
    assert taken.lines() == [
        f"{num_taken} taken as they are: stage0.0.weight, stage0.1.weight and {num_taken - 2} more",
        "1 left out: head.weight (7, 64)",
    ]
    torch.save({"model": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "w.pth")
    taken = load(tmp_path / "w.pth").taken
    assert taken is not None
    assert len(taken.unchanged) == 0
    assert taken.renamed[0] == "module.stage0.0.weight -> stage0.0.weight"


def test_tensors_that_were_resized_are_said(tmp_path: Path) -> None:
    state = state_of("vit_tiny_patch16_224", "net.net.")
    save_file({f"encoder.{name}": value for name, value in state.items()}, tmp_path / "vit.safetensors")
    net = build_backbone("vit_tiny_patch16_224", weights=str(tmp_path / "vit.safetensors"), image_px=64)
    assert net.taken is not None
    assert net.taken.changed == ["encoder.pos_embed (1, 5, 192) -> pos_embed (1, 17, 192)"]
    assert len(net.taken.renamed) == len(state) - 1
    assert net.freeze("all").shared().taken is net.taken
