import pytest
from pydantic import ValidationError

from study.evidence.metrics import metrics_of
from study.evidence.schema import TRIAL
from study.reporting.papers import PaperTable, published, published_names
from study.spec.errors import SpecError

# Table and row: accuracy, precision, recall, κ, F1 and AUC, as the second version of the paper prints them.
DMSNET = """
1 vit 0.804 0.826 0.826 0.797 0.825 0.949
1 resnext 0.792 0.827 0.806 0.784 0.812 0.962
1 resnet50 0.817 0.854 0.827 0.812 0.837 0.962
1 resnet101 0.819 0.860 0.825 0.814 0.839 0.965
1 resnet152 0.829 0.869 0.845 0.832 0.856 0.973
2 no_cafm 0.819 0.854 0.829 0.815 0.840 0.967
2 no_ciam 0.816 0.856 0.829 0.815 0.841 0.962
2 no_ccam 0.819 0.859 0.836 0.822 0.848 0.963
2 no_casfm 0.812 0.844 0.828 0.807 0.834 0.960
2 no_osim_left 0.816 0.853 0.837 0.819 0.845 0.961
2 no_osim_right 0.818 0.850 0.830 0.812 0.838 0.963
2 no_osim 0.822 0.857 0.835 0.817 0.843 0.965
2 full 0.829 0.869 0.845 0.832 0.856 0.973
3 aspp 0.776 0.816 0.793 0.769 0.800 0.958
3 sppf 0.774 0.828 0.799 0.778 0.807 0.964
3 spp 0.805 0.836 0.821 0.800 0.827 0.965
3 simsppf 0.792 0.827 0.807 0.784 0.812 0.961
3 rfb 0.824 0.867 0.832 0.828 0.852 0.971
3 osim 0.829 0.869 0.845 0.832 0.856 0.973
"""


@pytest.mark.parametrize("name", published_names())
def test_every_file_is_a_table_whose_measures_exist(name: str) -> None:
    table = published(name)
    measures = {m.measure.split("@")[0] for m in table.metrics.values()} - {"", "mhr", "map", "macro_mhr"}
    assert measures <= (set(TRIAL.names) if table.form == "costs" else set(metrics_of(table.kind)))
    assert table.rows
    assert table.source


def test_one_half_decides_where_a_source_says_so_alone() -> None:
    """The script of the ODIR challenge does; DMS-Net and BFPC-Net state no threshold."""
    at_half = {
        (name, key)
        for name in published_names()
        if published(name).kind == "multilabel"
        for key, metric in published(name).metrics.items()
        if metric.decision == "half"
    }
    assert at_half == {("odir_anchors", key) for key in ("kappa", "f1", "final")}


@pytest.mark.parametrize("name", published_names())
def test_published_shares_lie_between_0_and_1(name: str) -> None:
    table = published(name)
    shares = [
        v.value for row in table.rows.values() for m, v in row.values.items() if table.metrics[m].digits == 3
    ]
    assert all(0 <= share <= 1 for share in shares)


@pytest.mark.parametrize("line", DMSNET.split("\n")[1:-1])
def test_each_row_of_dms_net_has_the_six_printed_numbers(line: str) -> None:
    number, row, *printed = line.split()
    values = published(f"dmsnet_table{number}").rows[row].values
    metrics = ("accuracy", "precision", "recall", "kappa", "f1", "auc")
    assert {metric: f"{value.value:.3f}" for metric, value in values.items()} == dict(
        zip(metrics, printed, strict=True)
    )
    assert not any(value.derived for value in values.values())


def test_the_tables_of_dms_net_have_no_other_rows() -> None:
    known = {tuple(line.split()[:2]) for line in DMSNET.split("\n")[1:-1]}
    assert {(str(n), row) for n in (1, 2, 3) for row in published(f"dmsnet_table{n}").rows} == known


def test_the_full_dms_net_is_the_same_row_in_its_three_tables() -> None:
    rows = [
        published(f"dmsnet_table{n}").rows[key].values
        for n, key in ((1, "resnet152"), (2, "full"), (3, "osim"))
    ]
    assert rows[0] == rows[1] == rows[2]


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
