import pytest
from pydantic import ValidationError

from study.evidence.metrics import metrics_of
from study.reporting.papers import PaperTable, published, published_names
from study.spec.errors import SpecError


@pytest.mark.parametrize("name", published_names())
def test_every_file_is_a_table_whose_measures_exist(name: str) -> None:
    table = published(name)
    measures = {m.measure.split("@")[0] for m in table.metrics.values()} - {"", "mhr", "map", "macro_mhr"}
    assert measures <= set(metrics_of(table.kind))
    assert table.rows
    assert table.source


@pytest.mark.parametrize("name", published_names())
def test_published_shares_lie_between_0_and_1(name: str) -> None:
    table = published(name)
    shares = [
        v.value for row in table.rows.values() for m, v in row.values.items() if table.metrics[m].digits == 3
    ]
    assert all(0 <= share <= 1 for share in shares)


def test_the_full_dms_net_is_the_same_row_in_its_three_tables() -> None:
    rows = [
        published(f"dmsnet_table{n}").rows[key].values
        for n, key in ((1, "resnet152"), (2, "full"), (3, "osim"))
    ]
    assert rows[0] == rows[1] == rows[2]
    assert rows[0]["kappa"].value == 0.832
    assert not rows[0]["kappa"].derived
    assert rows[0]["precision"].derived


def test_relative_claims_of_svk_ma_give_the_derived_accuracies() -> None:
    rows = published("svkma_table7").rows
    assert rows["svm_unscaled"].values["accuracy"].value == pytest.approx(0.940 / 2.06, abs=5e-4)
    assert rows["knn"].values["accuracy"].value == 0.940


def test_an_unknown_table_is_named_with_the_nearest() -> None:
    with pytest.raises(SpecError, match="Did you mean `dmsnet_table3`"):
        published("dmsnet_tabel3")


def test_a_derived_number_must_say_how() -> None:
    data = published("li_headline").model_dump()
    data["metrics"] = {"accuracy": {"label": "Accuracy", "measure": "exact_match"}}
    data["rows"] = {"bfpc_net": {"label": "x", "values": {"accuracy": {"value": 0.9, "derived": True}}}}
    with pytest.raises(ValidationError, match="says how it was derived"):
        PaperTable.model_validate(data)


def test_a_table_of_neighbours_must_say_how_they_are_found() -> None:
    data = published("svkma_table4").model_dump()
    with pytest.raises(ValidationError, match="says how they are found"):
        PaperTable.model_validate({**data, "neighbours": None})
    with pytest.raises(ValidationError, match="says how they are found"):
        PaperTable.model_validate({**data, "rows_are": "variants"})
