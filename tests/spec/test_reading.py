"""YAML as people mean it, and settings by dotted key."""

from pathlib import Path
from typing import Any

import pytest

from study.spec.errors import SpecError
from study.spec.reading import override, parse_settings, parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("-2E3", -2000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("3", 3),
        ("true", True),
        ("no", "no"),
        ("off", "off"),
        ("null", None),
        ("none", "none"),
        ("1e", "1e"),
        ("resnet50", "resnet50"),
        (".inf", float("inf")),
    ],
)
def test_scalars_are_what_people_mean(text: str, value: object) -> None:
    read = parse_yaml(text, "x")
    assert read == value
    assert type(read) is type(value)


def test_a_key_may_not_stand_twice() -> None:
    with pytest.raises(SpecError, match=r"key `a` stands twice.*line 2"):
        parse_yaml("a: 1\na: 2\n", "study.yaml")


def test_no_object_is_ever_constructed() -> None:
    with pytest.raises(SpecError, match="must be YAML"):
        parse_yaml("!!python/object/apply:os.system ['true']", "study.yaml")


def test_a_missing_file_names_its_nearest_neighbour(tmp_path: Path) -> None:
    (tmp_path / "dmsnet.yaml").write_text("study: a\n")
    with pytest.raises(SpecError, match=r"Did you mean `dmsnet\.yaml`"):
        read_yaml(tmp_path / "dmsnte.yaml")


def test_settings_reach_nested_values_lists_and_bare_components() -> None:
    data: dict[str, Any] = {
        "model": {"backbone": "tiny", "context": {"type": "categorical", "choices": [{"name": "osim"}]}},
        "search": {"trials": 8},
    }
    settings = parse_settings(
        [
            "model.backbone.weights=w.pth",
            "search.trials=3",
            "model.context.choices.0.kernel=5",
            "data.root=/a=b",
        ]
    )
    changed = override(data, settings)
    assert changed["model"]["backbone"] == {"name": "tiny", "weights": "w.pth"}
    assert changed["search"]["trials"] == 3
    assert changed["model"]["context"]["choices"] == [{"name": "osim", "kernel": 5}]
    assert changed["data"]["root"] == "/a=b"
    assert data["model"]["backbone"] == "tiny"  # the original stays


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("model.context.kernel", "`model.context` is a hole"),
        ("search.trials.x", "must be a mapping to set a part of it"),
        ("model.context.choices.4", "must be a place in a list of 1"),
    ],
)
def test_settings_that_lead_nowhere_are_errors(key: str, message: str) -> None:
    context = {"type": "categorical", "choices": ["none"]}
    data: dict[str, Any] = {"model": {"context": context}, "search": {"trials": 8}}
    with pytest.raises(SpecError, match=message):
        override(data, {key: 1})


def test_a_setting_needs_an_equals_sign() -> None:
    with pytest.raises(SpecError, match=r"must have the form key.of.the.value=value"):
        parse_settings(["data.root"])


def test_merged_mappings_may_be_changed_and_merged_again() -> None:
    text = "a: &a {x: 1, y: 2}\nb: &b {<<: *a, x: 3}\nc: {<<: *b, y: 4}\n"
    assert parse_yaml(text, "f") == {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}, "c": {"x": 3, "y": 4}}
    with pytest.raises(SpecError, match="key `x` stands twice"):
        parse_yaml("a: &a {x: 1}\nb: {<<: *a, x: 3, x: 4}", "f")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("data.root=/data/site #2", "/data/site #2"),
        ("data.root=2019", "2019"),
        ("data.root=/a: b", "/a: b"),
        ("data.root=null", None),
        ("storage=1e3", "1e3"),
        ("data.dataset.image_folder=eyes #2", "eyes #2"),
        ("search.trials=3", 3),
        ("data.augmentation={flip: false}", {"flip": False}),
    ],
)
def test_paths_and_texts_mean_themselves(text: str, value: object) -> None:
    assert parse_settings([text]) == {text.partition("=")[0]: value}


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_a_study_file_in_another_encoding_is_one_message(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "s.yaml").write_bytes("title: é\n".encode(encoding))
    with pytest.raises(SpecError, match=r"must be a YAML file in UTF-8, got other bytes"):
        read_yaml(tmp_path / "s.yaml")
