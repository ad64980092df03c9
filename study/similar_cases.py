"""What `python -m study.predict --similar` shows: the training samples that are most like each new sample."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from study.data.pairs import Pairs
from study.engine.applying.apply import ChosenTrial
from study.engine.applying.pictures import pictures_of, training_pictures
from study.evidence.predictions import Embeddings
from study.evidence.similar import SimilarCases, known_cases, search_rule, similar_cases
from study.evidence.store import Store
from study.spec.errors import DataError, SpecError, StorageError
from study.spec.task import RetrievalSpec

MOST_LISTED = 5  # samples whose similar cases the console shows; the file has those of all
MARKS = {True: "same", False: "differs", None: ""}


@dataclass(frozen=True)
class Place:
    """Where the files of similar cases go.

    Attributes:
        store: The run, in whose folder `predictions` they lie.
        out: The file of the predictions, beside which they lie instead; None where none is named.
        name: What they are named after in the run.
    """

    store: Store
    out: Path | None
    name: str

    def write(self, ending: str, content: bytes) -> str:
        """Writes the file of that ending, and gives its place.

        Raises:
            StorageError: It cannot be written.
        """
        name = f"predictions/{self.name}{ending}"
        try:
            if self.out is not None:
                path = self.out.with_suffix(ending)
                path.write_bytes(content)
                return str(path)
            self.store.write_bytes(name, content)
        except OSError as error:
            raise StorageError(
                f"`--out`: must be a place to write to, got `{self.out or self.store.where}` ({error}). "
                "Name another one."
            ) from None
        return self.store.place(name)


def cases_to_search(store: Store, trial: str, num: int) -> Embeddings:
    """The training samples of which the most similar ones are wanted.

    Args:
        store: The run.
        trial: Key of the trial whose embedding is searched.
        num: How many of them are wanted for each sample.

    Raises:
        SpecError: The number is no number of training samples.
        StorageError: The run holds no embeddings of them.
    """
    if num < 1:
        raise SpecError(f"`--similar`: must be 1 or more, got {num}. For example: --similar 5")
    known = known_cases(store, trial)
    if known is None:
        raise StorageError(
            f"`--similar`: must find the embeddings of labelled training samples in "
            f"`{store.where}/trials/{trial}`, got none. Take another trial with --trial."
        )
    if num > len(known.sample):
        raise SpecError(
            f"`--similar`: must be at most {len(known.sample)}, the number of labelled training samples of "
            f"{trial}, got {num}. Ask for fewer."
        )
    return known


def show_similar(
    trial: ChosenTrial,
    known: Embeddings,
    new: Embeddings,
    num: int,
    pairs: Pairs,
    place: Place,
    console: Console,
) -> None:
    """Prints the similar cases, and leaves them as a table and as a picture.

    Args:
        trial: The trial whose embedding is searched.
        known: Training samples.
        new: Samples to find similar ones for.
        num: Number of training samples for each of them.
        pairs: The new samples with their images.
        place: Where the files go.
        console: Where the table goes.
    """
    store = place.store
    rule = search_rule(store, trial.key, trial.spec.task) or RetrievalSpec()
    one_data_set = pairs.dataset == store.read_study()["dataset"]
    cases = similar_cases(known, new, rule, num, same_names=one_data_set)
    console.print()
    console.print(_listing(cases.of(range(min(MOST_LISTED, len(pairs))), num), pairs.labels))
    if len(pairs) > MOST_LISTED:
        console.print(f"({MOST_LISTED} of {len(pairs)} samples; the file has all)")
    out = io.BytesIO()
    pq.write_table(cases.table(pairs.labels), out, compression="zstd")
    console.print(f"similar cases: {place.write('.similar.parquet', out.getvalue())}", soft_wrap=True)
    try:
        console.print(_contact_sheet(cases, trial, pairs, place), soft_wrap=True)
    except DataError as error:
        console.print(f"[yellow]no contact sheet:[/] {escape(str(error))}", soft_wrap=True)


def _listing(cases: SimilarCases, labels: Sequence[str]) -> Table:
    """A row for each neighbour, narrow enough for a console."""
    title = f"Most similar training samples ({cases.metric} distance)"
    table = Table(box=None, header_style="bold", title=title, title_justify="left")
    for column in ("sample", "rank", "training sample", "labels", "distance", "same"):
        right = column in ("rank", "distance")
        table.add_column(column, justify="right" if right else "left", overflow="fold", no_wrap=right)
    for row in cases.table(labels).to_pylist():
        sample = row["sample"] if row["rank"] == 1 else ""
        if sample and row["labels"] is not None:
            sample = f"{sample} ({_words(row['labels'])})"
        table.add_row(
            escape(sample),
            str(row["rank"]),
            escape(row["neighbour"]),
            escape(_words(row["neighbour_labels"])),
            f"{row['distance']:.3f}",
            MARKS[row["same"]],
        )
    return table


def _words(labels: Sequence[str]) -> str:
    return ", ".join(labels) or "nothing"


def _contact_sheet(cases: SimilarCases, trial: ChosenTrial, pairs: Pairs, place: Place) -> str:
    """Leaves the picture, and says where it is.

    Raises:
        DataError: The photographs of the training samples cannot be found.
    """
    from study.reporting.contact_sheet import Sheet, fitting, sheet_png  # loads matplotlib, which is slow

    store, data = place.store, trial.spec.data
    shown = fitting(cases)
    known = training_pictures(store, data, shown.neighbours())
    new = pictures_of(pairs, data, shown.queries.sample)
    sheet = Sheet(cases=shown, labels=pairs.labels, of_queries=new, of_known=known)
    synthetic = bool(store.read_study()["synthetic"]) or pairs.synthetic
    where = place.write(".similar.png", sheet_png(sheet, synthetic=synthetic))
    few = f" of the first {len(shown.index)} samples" if len(shown.index) < len(pairs) else ""
    return f"contact sheet{few}: {where}"
