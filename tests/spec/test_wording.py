import math

import pytest

from study.spec.wording import (
    change_text,
    changes_text,
    configuration_text,
    duration_text,
    number_text,
    setting_text,
    shortest_names,
    size_text,
)


@pytest.mark.parametrize(("num_bytes", "text"), [(5 * 2**20, "5 MiB"), (3 * 2**30, "3.0 GiB"), (0, "0 MiB")])
def test_a_size_is_in_the_unit_that_fits(num_bytes: int, text: str) -> None:
    assert size_text(num_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(3, "3 s"), (119, "119 s"), (150, "2 min"), (7199, "120 min"), (7300, "2.0 h")]
)
def test_a_duration_is_in_the_unit_that_fits(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [
        (0.8324, False, "0.832"),
        (-0.0121, False, "−0.012"),
        (0.0121, True, "+0.012"),
        (-0.0001, True, "0.000"),
        (math.nan, False, "–"),
        (math.inf, False, "–"),
        (None, False, "–"),
        (12345.6789, False, "12,345.679"),
    ],
)
def test_a_number_has_fixed_places_and_a_true_minus_sign(
    value: float | None, signed: bool, text: str
) -> None:
    assert number_text(value, signed=signed) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (True, "yes"),
        (0.000123456, "0.000123"),
        (12, "12"),
        ("bce", "bce"),
        ([0, 1], "0, 1"),
        ({"name": "gated"}, "gated"),
        ({"name": "gated", "dim": 64, "signed": False}, "gated (dim 64, signed no)"),
        ({"train": 0.6, "test": 0.4}, "train 0.6, test 0.4"),
        ({"type": "float", "low": 1e-5, "high": 0.1, "log": True}, "1e-05 to 0.1"),
        ({"type": "categorical", "choices": ["relu", {"name": "gelu"}]}, "one of relu, gelu"),
    ],
)
def test_a_setting_in_words(value: object, text: str) -> None:
    assert setting_text(value) == text


def test_a_change_names_variants_and_choices_only() -> None:
    assert change_text({"variants": {"a": {"loss": "bce"}, "b": {}}}) == "the variants a, b"
    choices = [{"name": "none", "model.attention": "none"}, {"name": "ram"}]
    assert change_text({"type": "categorical", "choices": choices}) == "one of none, ram"
    assert change_text({"name": "gated", "dim": 64}) == "gated (dim 64)"
    assert change_text({"model.fusion": {"name": "casfm", "dim": 64}}) == "model.fusion casfm (dim 64)"


def test_changes_name_each_section_once() -> None:
    changes = {"training.epochs": 12, "training.seed": 0, "objective": "accuracy", "ablations.table1": None}
    said = "training: epochs 12, seed 0; objective: accuracy; ablations: table1 left out"
    assert changes_text(changes) == said


def test_names_are_as_short_as_they_can_be_without_being_anothers() -> None:
    keys = ["optimiser.lr", "model.context.osim.kernel", "model.context.spp.kernel", "kernel"]
    assert list(shortest_names(keys).values()) == ["lr", "osim.kernel", "spp.kernel", "kernel"]


def test_a_configuration_has_the_order_of_the_names_and_leaves_out_what_a_trial_lacks() -> None:
    names = {"optimiser.lr": "lr", "model.fusion.gated.dim": "dim", "loss": "loss"}
    assert configuration_text({"loss": "bce", "optimiser.lr": 0.00123456}, names) == "lr 0.00123, loss bce"


def test_names_are_as_long_as_they_must_be() -> None:
    keys = ["optimiser.lr", "model.context.osim.kernel", "model.context.spp.kernel", "loss"]
    assert list(shortest_names(keys).values()) == ["lr", "osim.kernel", "spp.kernel", "loss"]
    params = {"optimiser.lr": 0.00123456, "loss": "bce"}
    assert configuration_text(params, shortest_names(keys)) == "lr 0.00123, loss bce"


def test_a_profile_names_each_section_once() -> None:
    changes = {
        "training.epochs": 12,
        "training.seed": 0,
        "model.backbone": {"type": "categorical", "choices": ["tiny", "squeezenet1_1"]},
        "ablations.dmsnet_table1": None,
        "ablations.dmsnet_table3.seeds": [0],
    }
    assert changes_text(changes) == (
        "training: epochs 12, seed 0; model: backbone one of tiny, squeezenet1_1; "
        "ablations: dmsnet_table1 left out, dmsnet_table3.seeds 0"
    )


def test_tables_and_choices_of_a_profile_go_by_their_names() -> None:
    changes = {
        "bundles.attention": {
            "type": "categorical",
            "choices": [{"name": "none", "model.attention": "none"}, {"name": "ram"}],
        },
        "ablations.svkma_figure16": {"variants": {"svk": {"model.attention": "none"}, "svk_ma": {}}},
    }
    assert changes_text(changes) == (
        "bundles: attention one of none, ram; ablations: svkma_figure16 the variants svk, svk_ma"
    )
