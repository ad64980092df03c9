"""One finished study as the report sees it: read once from Parquet, never written to."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from study.evidence.judging import BEST_HEAD, measure_of
from study.evidence.metrics import DEFAULT_OBJECTIVE, LabelKind, Metric, metrics_of
from study.evidence.predictions import Predictions, predictions_of
from study.evidence.retrieval import HEAD as RETRIEVAL
from study.evidence.retrieval import is_retrieval
from study.evidence.score import SWAP_CHANGE
from study.evidence.store import Store
from study.reporting.other_settings import neighbour_predictions
from study.spec.errors import StorageError


class HeadChoice(NamedTuple):
    """A head on a trial's embedding, chosen on validation."""

    head: str
    setting: str
    value: float


class _Words(NamedTuple):
    """A column of few different words."""

    categories: np.ndarray
    codes: np.ndarray


@dataclass(frozen=True, eq=False)
class Run:
    """Everything the tables and figures are made of.

    Attributes:
        store: where the run lies; predictions are read from it when a table asks for them.
        study: the study's row; its JSON columns are decoded.
        trials: one row a trial, by key; `params`, `spec` and `provenance` are decoded.
        epochs: one row a trial and epoch.
        scores: one row a trial, head, split, decision, metric and label, at each head's chosen setting.
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
        """True when any of its numbers comes from made-up images."""
        return bool(self.study["synthetic"]) or bool(self.trials["synthetic"].any())

    @property
    def kind(self) -> LabelKind:
        """Multilabel, classes or grades."""
        kind: LabelKind = self.study["kind"]
        return kind

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels in the order of targets and scores."""
        return tuple(self.study["labels"])

    @property
    def objective(self) -> str:
        """The metric or measure of retrieval on validation that chose."""
        return measure_of(str(self.study["objective"]))

    @property
    def by_best_head(self) -> bool:
        """Whether the best head of each trial was judged, not its own."""
        return str(self.study["objective"]).startswith(BEST_HEAD)

    @property
    def task(self) -> str:
        """Classification or retrieval."""
        task = self.study["spec"].get("task", "classification")
        return str(task["name"] if isinstance(task, dict) else task)

    @property
    def head_measure(self) -> str:
        """The metric by which heads are ranked: the objective, or for retrieval the one of the data's kind."""
        return DEFAULT_OBJECTIVE[self.kind] if is_retrieval(self.objective) else self.objective

    @cached_property
    def measures(self) -> Mapping[str, Metric]:
        """All metrics that this kind of data has."""
        return metrics_of(self.kind)

    @cached_property
    def maximise(self) -> bool:
        """Whether a greater objective is better."""
        return self.measures[self.objective].greater_is_better if self.objective in self.measures else True

    def of_role(self, role: str, state: str | None = None) -> pd.DataFrame:
        """Trials of a role (search, ablation, baseline), in the order in which they ended."""
        rows = self.trials[self.trials["role"] == role]
        return (rows if state is None else rows[rows["state"] == state]).sort_values("ended", kind="stable")

    @cached_property
    def ranked(self) -> pd.DataFrame:
        """Complete search trials, the best validation value first."""
        return self.of_role("search", "complete").sort_values(
            "value", ascending=not self.maximise, kind="stable", na_position="last"
        )

    @cached_property
    def best(self) -> str | None:
        """The chosen trial: best of the search, or of the ablations where nothing was searched."""
        pool = self.ranked
        if pool["value"].notna().sum() == 0:
            pool = self.of_role("ablation", "complete").sort_values(
                "value", ascending=not self.maximise, kind="stable"
            )
        pool = pool[pool["value"].notna()]
        return None if pool.empty else str(pool.index[0])

    def of_trial(self, trial: str, column: str) -> Any:
        """One field of a trial's row."""
        return self.trials.loc[trial, column]

    def baseline(self, name: str) -> str | None:
        """Key of the baseline `prior` or `untrained`, if it was scored."""
        key = f"baseline-{name}"
        return key if key in self.trials.index and self.trials.at[key, "state"] == "complete" else None

    @cached_property
    def _rows_of_trial(self) -> dict[str, np.ndarray]:
        groups = self.scores.groupby("trial", observed=True).indices
        return {str(key): np.asarray(rows) for key, rows in groups.items()}

    @cached_property
    def _lookups(self) -> dict[str, tuple[dict[tuple[str, ...], float], dict[str, str]]]:
        return {}

    def _lookup(self, trial: str) -> tuple[dict[tuple[str, ...], float], dict[str, str]]:
        """The trial's scores by (head, split, decision, metric, label), and the setting of each head."""
        if trial not in self._lookups:
            rows = self._rows_of_trial.get(trial, np.array([], dtype=int))
            words = {name: column.categories[column.codes[rows]] for name, column in self._columns.items()}
            keys = zip(*(words[c] for c in ("head", "split", "decision", "metric", "label")), strict=True)
            values = dict(zip(keys, self._values[rows].tolist(), strict=True))
            self._lookups[trial] = values, dict(zip(words["head"], words["setting"], strict=True))
        return self._lookups[trial]

    @cached_property
    def _values(self) -> np.ndarray:
        return self.scores["value"].to_numpy(float)

    @cached_property
    def _columns(self) -> dict[str, _Words]:
        columns = {
            name: self.scores[name].astype("category").cat
            for name in ("head", "setting", "split", "decision", "metric", "label")
        }
        return {
            name: _Words(column.categories.to_numpy(object), column.codes.to_numpy())
            for name, column in columns.items()
        }

    def decided_by(self, measure: str, decision: str) -> str:
        """The rule under which a measure is stored: `none` for ranks, `argmax` for one label a sample, else as asked."""
        if (
            measure == SWAP_CHANGE
            or is_retrieval(measure)
            or (measure in self.measures and self.measures[measure].needs == "score")
        ):
            return "none"
        return self.decision_rule(decision)

    def decision_rule(self, decision: str) -> str:
        """How labels are decided: `half` or `tuned` for many labels a sample, always `argmax` for one."""
        if self.kind != "multilabel":
            return "argmax"
        return "half" if decision == "none" else decision

    def own_head(self, trial: str) -> str:
        """The head that stands for the trial: the network's own, a post-hoc one that gave it its value, or `prior` for the class prior."""
        return str(
            self.of_trial(trial, "head") or ("prior" if "prior" in self._lookup(trial)[1] else "network")
        )

    def score(
        self,
        trial: str,
        measure: str,
        *,
        split: str = "test",
        decision: str = "half",
        head: str = "",
        label: str = "",
    ) -> float:
        """A stored score, NaN where there is none; an empty head is the trial's own. Retrieval has no heads."""
        head = RETRIEVAL if is_retrieval(measure) else head or self.own_head(trial)
        key = (head, split, self.decided_by(measure, decision), measure, label)
        return self._lookup(trial)[0].get(key, math.nan)

    def heads(self, trial: str) -> list[HeadChoice]:
        """Every head of a trial at its chosen setting with its validation value, the best first."""
        settings = self._lookup(trial)[1]
        values = {head: self.score(trial, self.head_measure, split="val", head=head) for head in settings}
        found = [
            HeadChoice(head, settings[head], value) for head, value in values.items() if not math.isnan(value)
        ]
        return sorted(found, key=lambda h: h.value, reverse=self.maximise)

    def predictions(
        self, trial: str, *, split: str = "test", head: str = "", setting: str = ""
    ) -> Predictions | None:
        """The predictions with known labels of a head; None where there are none.

        An empty setting is the chosen one, which is stored; at another one nearest neighbours are decided again.
        """
        key = (trial, split, head or self.own_head(trial), setting)
        if key not in self._predictions:
            self._predictions[key] = self._found_predictions(*key)
        return self._predictions[key]

    def chosen_predictions(self, split: str = "test") -> Predictions | None:
        """The predictions of the chosen trial's own head; None without a chosen trial, or where it has none."""
        return self.predictions(self.best, split=split) if self.best else None

    def _found_predictions(self, trial: str, split: str, head: str, setting: str) -> Predictions | None:
        if setting:
            again = neighbour_predictions(
                self.store, trial, split, head, setting, exclusive=self.kind != "multilabel"
            )
            found = [again] if again else []
        else:
            found = predictions_of(
                self.store.read_table("predictions", [trial], filters={"split": split, "head": head})
            )
        known = [p.known() for p in found]
        return known[0] if known and len(known[0].sample) else None


def load_run(path: str) -> Run:
    """Reads a run's tables.

    Args:
        path: the run's folder, or a URI of a file system that pyarrow knows.

    Raises:
        StorageError: there is no run, or no trial in it.
    """
    store = Store(path)
    study = dict(store.read_study())
    for column in (
        "profile_changes",
        "spec",
        "split_counts",
        "generated",
        "skipped",
        "search_space",
        "ablations",
    ):
        study[column] = _decoded(study[column])
    study["cautions"] = list(study["cautions"] or ())
    trials = store.read("trial")
    if trials.empty:
        raise StorageError(
            f"`{path}`: must hold at least one finished trial, got none. Run the study first, or go on with it."
        )
    for column in ("params", "spec", "provenance"):
        trials[column] = trials[column].map(_decoded)
    trials = trials.fillna({"head": "", "setting": "", "device_kind": "", "objectives": ""}).set_index(
        "trial", drop=False
    )
    scores = store.read_table("scores", filters={"chosen": True})
    words = [i for i, f in enumerate(scores.schema) if pa.types.is_string(f.type)]
    for i in words:  # a million rows of a few words
        scores = scores.set_column(i, scores.schema.names[i], scores.column(i).dictionary_encode())
    return Run(store, study, trials, store.read("epochs"), scores.to_pandas())


def _decoded(text: str | None) -> Any:
    return json.loads(text) if text else {}
