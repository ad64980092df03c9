import pytest

from study.reporting.anomalies import anomalies, harmonic_limit, is_share
from study.reporting.papers import published


def test_kappa_above_accuracy_is_flagged() -> None:
    assert "greater than accuracy" in anomalies(published("dmsnet_table3"), "osim")["kappa"]
    assert "greater than accuracy" in anomalies(published("dmsnet_table3"), "sppf")["kappa"]
    assert anomalies(published("dmsnet_table2"), "no_cafm") == {}


def test_an_f1_beyond_precision_and_recall_is_flagged() -> None:
    assert "greater than 0.8496" in anomalies(published("dmsnet_table3"), "rfb")["f1"]
    assert anomalies(published("li_headline"), "bfpc_net") == {}


def test_an_accuracy_that_no_count_gives_is_flagged() -> None:
    assert "132 test images" in anomalies(published("svkma_table5"), "svk_ma")["accuracy"]
    assert "accuracy" not in anomalies(published("svkma_table5"), "sak_ma")


def test_two_classes_below_chance_are_flagged() -> None:
    assert anomalies(published("svkma_table7"), "svm_unscaled")["accuracy"].startswith("Below chance")


def test_a_row_that_leaves_out_more_and_is_better_is_flagged() -> None:
    found = anomalies(published("dmsnet_table2"), "no_osim")
    assert set(found) == {"accuracy", "precision", "recall", "f1", "kappa", "auc"}
    assert found["kappa"] == (
        "Higher than without OSIM (right), with more left out; single runs differ that much."
    )
    assert "(left) and without OSIM (right)" in found["accuracy"]
    assert anomalies(published("dmsnet_table2"), "no_osim_right") == {}


def test_two_rows_with_the_same_numbers_are_flagged() -> None:
    table = published("dmsnet_table3")
    rows = {**table.rows, "spp": table.rows["spp"].model_copy(update={"values": table.rows["sppf"].values})}
    copied = table.model_copy(update={"rows": rows})
    assert anomalies(copied, "spp")["auc"] == "The same 6 numbers as SPPF."
    assert "auc" not in anomalies(copied, "aspp")


@pytest.mark.parametrize(
    ("value", "num", "possible"),
    [(0.939, 132, True), (0.94, 132, False), (0.947, 132, True), (0.5, 3, False)],
)
def test_shares_of_a_count(value: float, num: int, possible: bool) -> None:
    assert is_share(value, num) is possible
    assert possible == any(round(k / num, 3) == value for k in range(num + 1))


def test_the_limit_is_the_harmonic_mean_of_what_may_be_rounded() -> None:
    limit = harmonic_limit({"precision": 0.867, "recall": 0.832})
    assert limit == pytest.approx(2 / (1 / 0.8675 + 1 / 0.8325))
