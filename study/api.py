"""The Python interface: a finished run as DataFrames, figures and networks, and a run from Python.

A notebook reads a run so:

    run = study.open_run("runs/dmsnet")
    run.table("leaderboard")
    run.figure("learning_curves")
    run.network().predict("left.jpg", "right.jpg")
"""

import io
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd
from rich.console import Console

from study.reporting import rendering
from study.reporting.assembly import figure_names
from study.reporting.figure import Drawing, draw
from study.reporting.registry import build_table, table_names
from study.reporting.run import Run, load_run
from study.spec.errors import SpecError, StudyError, suggest

if TYPE_CHECKING:
    from torch import Tensor

    from models.siamese import SiameseNet
    from study.data.pairs import Pairs
    from study.engine.applying.apply import ChosenTrial


Part = TypeVar("Part")


def open_run(path: str | Path) -> "StudyRun":
    """A run with at least one finished trial.

    Args:
        path: The run's folder (`runs/<study>`), or a URI such as `s3://bucket/runs/dmsnet`.

    Raises:
        StorageError: There is no run, or no trial in it.
    """
    return StudyRun(load_run(str(path)))


def run_study(
    file: str | Path,
    settings: Mapping[str, object] | None = None,
    *,
    profile: str = "auto",
    extend: bool = False,
    fresh: bool = False,
) -> "StudyRun":
    """Runs a study file, or goes on with it, and gives the run; the console says what happens.

    Args:
        file: The study file.
        settings: Values by dotted key that replace those of the file: `{"data.root": "/data/odir5k"}`.
        profile: A profile of the file; `auto` for `full` where there is a GPU, else `laptop` if the file has
            it.
        extend: Go on with more of the same than the run had.
        fresh: Put an earlier run of the same name aside.

    Raises:
        StudyError: The file, the data, the storage or the cluster is wrong, or no trial was completed.
    """
    from study import run  # needs Ray and torch

    options = [str(file), "--profile", profile]
    for key, value in (settings or {}).items():
        options += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value, default=str)}"]
    options += ["--extend"] if extend else []
    options += ["--fresh"] if fresh else []
    code, where = run.execute(options, Console(highlight=False))
    if code:
        raise StudyError(f"`{file}`: must run to its end, got exit code {code}. The console says why.")
    return open_run(where)


class StudyRun:
    """A run as it was when it was opened.

    Attributes:
        name: The study's short name.
        title: Its question.
        labels: Names of the labels, in the order of targets and scores.
        kind: `multilabel`, `classes` or `grades`.
        synthetic: Whether any number comes from drawn images.
        tables: Names for `table`.
        figures: Names for `figure`.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self.name, self.title, self.labels, self.kind = run.name, run.title, run.labels, run.kind
        self.synthetic = run.synthetic
        self.tables, self.figures = tuple(table_names()), tuple(figure_names())

    def __repr__(self) -> str:
        return f"<run {self.name}: {len(self._run.trials)} trials, best {self.best}>"

    @property
    def best(self) -> str | None:
        """Key of the best complete trial; None where none is complete."""
        return self._run.best

    def trials(self) -> pd.DataFrame:
        """One row for each finished trial; `params`, `spec` and `provenance` are decoded."""
        return self._run.trials.reset_index(drop=True)

    def epochs(self) -> pd.DataFrame:
        """One row for each trial and epoch: losses, validation value, rate, seconds."""
        return self._run.epochs.copy()

    def scores(self) -> pd.DataFrame:
        """One row for each trial, head, split, decision, metric and label, at the head's chosen setting."""
        return self._run.scores.copy()

    def predictions(
        self, trial: str | None = None, *, head: str | None = None, split: str | None = None
    ) -> pd.DataFrame:
        """One row for each sample: its patient, and `target` and `score` of each label.

        Args:
            trial: Key of the trial; the best one where left out.
            head: Name of a head; all where left out.
            split: `val` or `test`; both where left out.
        """
        filters = {key: value for key, value in (("head", head), ("split", split)) if value is not None}
        found = self._run.store.read_table("predictions", [self._key(trial)], filters=filters or None)
        frame: pd.DataFrame = found.to_pandas()
        for column in ("target", "score"):
            values = np.stack(frame.pop(column).to_list()) if len(frame) else np.empty((0, len(self.labels)))
            for place, label in enumerate(self.labels):
                frame[f"{column} {label}"] = values[:, place]
        return frame

    def table(self, name: str) -> pd.DataFrame:
        """A table of the report at full precision, with intervals in columns of their own.

        Raises:
            SpecError: There is no table of that name, or the run has nothing for it.
        """
        table = _made("table", name, self.tables, lambda: build_table(name, self._run))
        text = io.StringIO(rendering.comma_separated(table))
        return pd.read_csv(text, keep_default_na=False, na_values=[""])  # a class may be called "None"

    def figure(self, name: str) -> Drawing:
        """A figure of the report; a notebook shows it, and `.svg` and `.png` are its bytes.

        Raises:
            SpecError: There is no figure of that name, or the run has nothing for it.
        """
        return _made("figure", name, self.figures, lambda: draw(name, self._run))

    def network(self, trial: str | None = None) -> "TrialNetwork":
        """The network of a trial that has kept its weights.

        Args:
            trial: Key of the trial; the best one where left out.

        Raises:
            StorageError: The trial has not kept its weights.
        """
        from study.engine.applying.apply import chosen_trial

        return TrialNetwork(self._run, chosen_trial(self._run.store, trial))

    def _key(self, trial: str | None) -> str:
        """The key of a trial that is there; without one, that of the best."""
        key = trial or self.best
        if key is None:
            raise SpecError("`trial`: must be given, since no trial of the run is complete, got none.")
        if key not in self._run.trials.index:
            known = suggest(key, self._run.trials.index)
            raise SpecError(f"`trial`: must be a finished trial, got `{key}`. {known}")
        return key


def _made(what: str, name: str, known: Collection[str], make: Callable[[], Part | None]) -> Part:
    """A part of the report.

    Raises:
        SpecError: There is none of that name, or the run has nothing for it.
    """
    if name not in known:
        raise SpecError(f"`{what}`: must be a {what} of the report, got `{name}`. {suggest(name, known)}")
    part = make()
    if part is None:
        raise SpecError(f"`{name}`: the run has nothing for this {what}. Take another one.")
    return part


@dataclass(frozen=True, eq=False)
class TrialNetwork:
    """The network of a finished trial, with its preprocessing.

    Attributes:
        run: The run.
        trial: The trial.
    """

    run: Run
    trial: "ChosenTrial"

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels."""
        return self.run.labels

    @cached_property
    def module(self) -> "SiameseNet":
        """The torch module, in evaluation mode, which takes what `preprocess` gives."""
        from study.engine.applying.apply import stored_network

        num_views = int(self.run.study["num_views"])
        return stored_network(
            self.run.store, self.trial.key, self.trial.spec, len(self.labels), num_views
        ).eval()

    def preprocess(self, left: str | Path, right: str | Path | None = None) -> "Tensor":
        """The images of one patient as the network wants them.

        Args:
            left: File of the left eye's image, or of the only image.
            right: File of the right eye's image.

        Returns:
            A tensor "1 v 3 px px", cropped, resized, corrected, aligned and normalised as in training.

        Raises:
            DataError: A file does not exist or cannot be used.
        """
        from study.engine.applying.apply import network_input
        from study.places import CACHE

        return network_input(self.trial, self._pair(left, right), CACHE)

    def predict(self, left: str | Path, right: str | Path | None = None) -> pd.Series:
        """The probability of each label for one patient, by the head that gave the trial its value.

        The arguments and errors are those of `preprocess`.
        """
        from study.engine.applying.apply import predict
        from study.places import CACHE

        found, _, _ = predict(self.run.store, self.trial, self._pair(left, right), CACHE)
        return pd.Series(found.score[0], index=self.labels, name=self.trial.key)

    def _pair(self, left: str | Path, right: str | Path | None) -> "Pairs":
        from study.data.source import at_frame
        from study.engine.applying.apply import pair_of_files

        other = None if right is None else Path(right)
        pairs = pair_of_files(Path(left), other, self.labels, self.run.kind)
        return at_frame(pairs, self.trial.spec.data.frame)
