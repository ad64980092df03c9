import shutil
from pathlib import Path

import pytest

from study.evidence.score import score_rows
from study.reporting.assembly import Report, build_report, files
from study.reporting.run import Run, load_run
from study.reporting.tracing import why
from study.spec.errors import SpecError
from tests.reporting.verified import verified


def test_why_names_trials_seeds_predictions_and_settings(report: Report) -> None:
    text = "\n".join(why(report, "dmsnet_table3:osim:kappa"))
    assert "mean of    2 trainings, test split" in text
    for seed in (0, 1):
        assert f"trials/ablation-dmsnet_table3-osim-s{seed}/predictions.parquet" in text
        assert f"seed {seed}, fold 0" in text
    assert "dmsnet_table3: osim" in text
    assert "50 samples of 50 patients" in text
    assert "decisions  tuned, at thresholds chosen for each label on validation (greatest F1)" in text


def test_why_of_a_difference_shows_both_sides_and_the_test(report: Report) -> None:
    text = "\n".join(why(report, "dmsnet_table3:spp.against:auc"))
    assert "paired     p = " in text
    assert text.index("dmsnet_table3-spp-s0") < text.index("minus") < text.index("dmsnet_table3-osim-s0")
    assert "less       0.8320, the published number" in "\n".join(
        why(report, "dmsnet_table3:osim.difference:kappa")
    )


def test_why_of_a_tested_number_says_p_before_and_after_holm(report: Report) -> None:
    text = "\n".join(why(report, "chosen:prior:odir_kappa"))
    assert "tested     against chosen by paired t test over patients" in text
    assert "after Holm's correction over" in text


def test_why_of_a_published_number_is_its_derivation(report: Report) -> None:
    printed = "\n".join(why(report, "dmsnet_table3:rfb.published:precision"))
    assert "Published; see the remarks of dmsnet_table3 for its source." in printed
    derived = "\n".join(why(report, "odir_anchors:class_prior:auc"))
    assert "Derived by us: computed on the 3500" in derived


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("leaderbord:x:y", "must name a table of the report, got `leaderbord`. Did you mean `leaderboard`"),
        (
            "leaderboard:baseline-prio:macro_auc",
            "must name a row of the report, got `baseline-prio`. Did you mean `baseline-prior`",
        ),
        (
            "leaderboard:baseline-prior:macro_au",
            "must name a column of the report, got `macro_au`. Did you mean `macro_auc`",
        ),
        ("leaderboard", "must be TABLE:ROW:COLUMN, got `leaderboard`"),
    ],
)
def test_an_address_that_is_not_there_is_named_with_the_nearest(
    report: Report, address: str, message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        why(report, address)


def test_a_report_as_written_verifies(report: Report) -> None:
    found = verified(report, files(report))
    assert found.differences == ()
    assert found.num_compared > 300


def test_a_changed_number_is_found_in_every_format(report: Report) -> None:
    content = files(report)
    for name in ("tables/chosen.csv", "tables/chosen.md", "tables/chosen.tex", "index.html"):
        changed = content[name].replace(b"0.500", b"0.501").replace(b"0.5,", b"0.501,")
        assert changed != content[name]
        assert verified(report, {**content, name: changed}).differences, name


def test_a_missing_table_is_a_difference(report: Report) -> None:
    content = {name: data for name, data in files(report).items() if name != "tables/split.csv"}
    differences = verified(report, content).differences
    assert [(d.where, d.written) for d in differences] == [("tables/split.csv", "missing")]


def test_scores_that_the_predictions_do_not_give_are_found(run: Run, tmp_path: Path) -> None:
    folder = shutil.copytree(run.store.where, tmp_path / "forged")
    key = str(run.best)
    forged = load_run(str(folder))
    good = forged.predictions("baseline-untrained")
    assert good is not None
    tables = {
        t: forged.store.read_table(t, [key])
        for t in ("trial", "epochs", "predictions", "embeddings", "neighbours")
    }
    rows = [{**row, "trial": key} for row in score_rows([good], forged.kind, forged.labels, "f1")]
    validation = forged.store.read_table("scores", [key], filters={"split": "val"}).to_pylist()
    shutil.rmtree(folder / "trials" / key)
    forged.store.publish(key, {**tables, "scores": [*validation, *rows]})
    report = Report(again := load_run(str(folder)), build_report(again).tables, ())
    differences = verified(report, files(report)).differences
    assert any(
        d.where == f"leaderboard:{key}:macro_auc" and "from the predictions" in d.computed
        for d in differences
    )
