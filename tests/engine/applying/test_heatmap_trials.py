"""Which networks are shown side by side when nobody names any."""

from pathlib import Path

from study.engine.applying.heatmap_trials import trials_to_show
from study.evidence.store import WEIGHTS, Store
from tests.reporting.svk_run import svk_run


def test_variants_stand_in_the_order_of_the_study_file_after_the_best_trial(tmp_path: Path) -> None:
    store = Store(svk_run(tmp_path / "svk", patients=20))
    finished = store.keys()
    kept = [key for key in finished if "table8" in key or key.startswith("search")]
    for key in kept:
        (tmp_path / "svk" / "trials" / key / WEIGHTS).touch()
    shown = [trial.key for trial in trials_to_show(store, [])]
    assert [key.rpartition("-")[0] for key in shown[1:]] == [
        f"ablation-svkma_table8-{variant}" for variant in ("vgg16", "svk_ma", "mine")
    ]
    assert shown[0].startswith("search-")
