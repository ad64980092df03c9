"""One finished study as the report sees it: read once from Parquet, never written to."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from study.evidence.decisions import Decision
from study.evidence.metrics import DEFAULT_OBJECTIVE, Metric, metrics_of
from study.evidence.objective import BEST_HEAD, measure_of
from study.evidence.predictions import Predictions, predictions_of
from study.evidence.records import CONTENDERS, best_first
from study.evidence.retrieval import RETRIEVAL, is_retrieval
from study.evidence.store import Store
from study.reporting.other_settings import neighbour_predictions
from study.reporting.score_lookup import ScoreLookup
from study.spec.errors import StorageError
from study.spec.task import LabelKind, ThresholdRule
from study.spec.wording import component_name, shortened

JSON_OF_STUDY = (
    "profile_changes",
    "spec",
    "split_counts",
    "generated",
    "skipped",
    "search_space",
    "ablations",
)
JSON_OF_TRIAL = ("params", "spec", "provenance")


class HeadChoice(NamedTuple):
    """A head on a trial's embedding at the setting that validation chose.

    Attributes:
        head: Name of the head.
        setting: The chosen setting.
        value: Validation value of the measure by which heads are ranked.
    """

    head: str
    setting: str
    value: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Run:
    """Everything that the tables and figures are made of.

    Attributes:
        store: Where the run lies; predictions are read from it when a table asks for them.
        study: The study's row, its JSON columns decoded.
        trials: One row for each trial, by key; `params`, `spec` and `provenance` are decoded.
        epochs: One row for each trial and epoch.
        scores: One row for each trial, head, split, decision, metric and label; each head stands at its
            chosen setting.
    """

    store: Store
    study: Mapping[str, Any]
    trials: pd.DataFrame
    epochs: pd.DataFrame
    scores: pd.DataFrame
    _predictions: dict[tuple[str, str, str, str], Predictions | None] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def problems(self) -> tuple[str, ...]:
        """Files that could not be read so far, in words."""
        return tuple(self.store.problems)

    @property
    def name(self) -> str:
        """The study's short name."""
        return str(self.study["study"])

    @property
    def title(self) -> str:
        """The study's question, or its name."""
        return str(self.study["title"] or self.name)

    @cached_property
    def synthetic(self) -> bool:
        """Whether any of the run's numbers comes from made-up images."""
        return bool(self.study["synthetic"]) or bool(self.trials["synthetic"].any())

    @property
    def kind(self) -> LabelKind:
        """Kind of the labels: multilabel, classes or grades."""
        kind: LabelKind = self.study["kind"]
        return kind

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels in the order of targets and scores."""
        return tuple(self.study["labels"])

    @property
    def objective(self) -> str:
        """The measure on validation by which trials were chosen."""
        return measure_of(str(self.study["objective"]))

    @property
    def thresholds(self) -> ThresholdRule:
        """The rule by which validation chose the threshold of each label."""
        rule: ThresholdRule = self.study["thresholds"]
        return rule

    @property
    def by_best_head(self) -> bool:
        """Whether each trial was judged by its best head instead of its own."""
        return str(self.study["objective"]).startswith(BEST_HEAD)

    @property
    def task(self) -> str:
        """Name of the task: classification or retrieval."""
        return component_name(self.study["spec"].get("task", "classification"))

    @property
    def head_measure(self) -> str:
        """The measure by which heads are ranked: the objective; for retrieval the default of such labels."""
        return DEFAULT_OBJECTIVE[self.kind] if is_retrieval(self.objective) else self.objective

    @cached_property
    def measures(self) -> Mapping[str, Metric]:
        """All metrics that this kind of labels has."""
        return metrics_of(self.kind)

    def of_role(self, role: str, state: str | None = None) -> pd.DataFrame:
        """Trials of a role, in the order in which they ended.

        Args:
            role: The role.
            state: State of the trials (complete, pruned or failed); None for all states.
        """
        rows = self.trials[self.trials["role"] == role]
        return (rows if state is None else rows[rows["state"] == state]).sort_values("ended", kind="stable")

    @cached_property
    def ranked(self) -> pd.DataFrame:
        """Complete trials of the search, fine-tuned ones included, the best validation value first."""
        contends = self.trials["role"].isin(CONTENDERS) & (self.trials["state"] == "complete")
        return best_first(self.trials[contends])

    @cached_property
    def best(self) -> str | None:
        """Key of the chosen trial: the best of the search, or of the ablations where nothing was searched."""
        pool = self.ranked
        if pool["value"].notna().sum() == 0:
            pool = best_first(self.of_role("ablation", "complete"))
        pool = pool[pool["value"].notna()]
        return None if pool.empty else str(pool.index[0])

    def of_trial(self, trial: str, column: str) -> Any:
        """One field of a trial's row."""
        return self.trials.loc[trial, column]

    def baseline(self, name: str) -> str | None:
        """Key of the baseline `prior` or `untrained`; None where it was not scored."""
        key = f"baseline-{name}"
        return key if key in self.trials.index and self.trials.at[key, "state"] == "complete" else None

    @cached_property
    def ensemble(self) -> str | None:
        """Key of the ensemble that was chosen last; None where none was."""
        keys = self.of_role("ensemble", "complete").index
        return str(keys[-1]) if len(keys) else None

    @cached_property
    def _lookup(self) -> ScoreLookup:
        return ScoreLookup(self.scores)

    def decided_by(self, measure: str, decision: Decision) -> str:
        """The rule under which a measure is stored: `none` where nothing is decided, else `decision_rule`."""
        decides = measure in self.measures and self.measures[measure].needs == "decision"
        return self.decision_rule(decision) if decides else "none"

    def decision_rule(self, decision: Decision) -> str:
        """The decision where a sample may have several labels, else always `argmax`."""
        return decision if self.kind == "multilabel" else "argmax"

    def own_head(self, trial: str) -> str:
        """The head that gave the trial its value and stands for it; empty for a trial that is incomplete."""
        return str(self.of_trial(trial, "head"))

    def score(
        self,
        trial: str,
        measure: str,
        *,
        split: str = "test",
        decision: Decision = "tuned",
        head: str = "",
        label: str = "",
    ) -> float:
        """A stored score; NaN where there is none.

        Args:
            trial: Key of the trial.
            measure: Name of the metric, or of a measure of retrieval, which has no heads.
            split: Split of the predictions.
            decision: At which thresholds labels are decided.
            head: Name of the head; empty for the one that stands for the trial.
            label: The label whose own value it is; empty for the aggregate.
        """
        head = RETRIEVAL if is_retrieval(measure) else head or self.own_head(trial)
        address = (head, split, self.decided_by(measure, decision), measure, label)
        return self._lookup.of(trial).values.get(address, math.nan)

    def heads(self, trial: str) -> list[HeadChoice]:
        """Every head of a trial at its chosen setting, the best validation value first."""
        settings = self._lookup.of(trial).settings
        values = {head: self.score(trial, self.head_measure, split="val", head=head) for head in settings}
        found = [
            HeadChoice(head, settings[head], value) for head, value in values.items() if not math.isnan(value)
        ]
        return sorted(found, key=lambda choice: choice.value, reverse=True)

    def predictions(
        self, trial: str, *, split: str = "test", head: str = "", setting: str = ""
    ) -> Predictions | None:
        """The predictions of a head for the samples whose labels are known; None where there are none.

        Args:
            trial: Key of the trial.
            split: Split of the samples.
            head: Name of the head; empty for the one that stands for the trial.
            setting: A setting of nearest neighbours that is not stored and is decided again; empty for the
                chosen setting.
        """
        key = (trial, split, head or self.own_head(trial), setting)
        if key not in self._predictions:
            self._predictions[key] = self._found_predictions(*key)
        return self._predictions[key]

    def chosen_predictions(self, split: str = "test") -> Predictions | None:
        """The predictions of the chosen trial; None without a chosen trial, or where it has none."""
        return self.predictions(self.best, split=split) if self.best else None

    def _found_predictions(self, trial: str, split: str, head: str, setting: str) -> Predictions | None:
        if setting:
            exclusive = self.kind != "multilabel"
            again = neighbour_predictions(self.store, trial, split, head, setting, exclusive=exclusive)
            found = [again] if again else []
        else:
            filters = {"split": split, "head": head}
            found = predictions_of(self.store.read_table("predictions", [trial], filters=filters))
        known = [predictions.known() for predictions in found]
        return known[0] if known and len(known[0].sample) else None


def load_run(path: str) -> Run:
    """Reads a run's tables.

    Args:
        path: The run's folder, or a URI of a file system that pyarrow knows.

    Raises:
        StorageError: There is no run, or no trial in it.
    """
    store = Store(path)
    study = dict(store.read_study())
    study |= {column: _decoded(study[column]) for column in JSON_OF_STUDY}
    study["cautions"] = list(study["cautions"] or ())
    trials = store.read("trial")
    if trials.empty:
        raise StorageError(
            f"`{path}`: must hold at least one finished trial, got none. Run the study first, or go on with "
            "it."
        )
    for column in JSON_OF_TRIAL:
        trials[column] = trials[column].map(_decoded)
    trials["message"] = trials["message"].map(shortened, na_action="ignore")
    trials = trials.fillna({"head": "", "collapsed": "", "setting": "", "device_kind": "", "objectives": ""})
    scores = store.read_table("scores", filters={"chosen": True})
    for i, column in enumerate(scores.schema):  # a million rows of a few words
        if pa.types.is_string(column.type):
            scores = scores.set_column(i, column.name, scores.column(i).dictionary_encode())
    return Run(
        store=store,
        study=study,
        trials=trials.set_index("trial", drop=False),
        epochs=store.read("epochs"),
        scores=scores.to_pandas(),
    )


def _decoded(text: str | None) -> Any:
    return json.loads(text) if text else {}
