"""What a trained network and the heads on its embeddings say about every split."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from study.data.split import SPLITS
from study.engine.training.collapse import watched_gates
from study.engine.training.judge import retrieval_scores
from study.engine.training.session import TrainingSession
from study.evidence.arrow_tables import Rows
from study.evidence.heads import ChosenHead, FittedHeads, fit_heads
from study.evidence.predictions import Embeddings, Predictions
from study.evidence.score import score_rows, swap_row


@dataclass(frozen=True, kw_only=True)
class ScoredSplits:
    """What a trained network says about every split.

    Attributes:
        network: Predictions of the network's own head on validation and test.
        embeddings: Embeddings of every split.
        fitted: Post-hoc heads on these embeddings.
        head: The head that stands for the trial, with its setting.
        scores: Rows of SCORES.
        shut_gates: Gates that are shut on validation, in words.
    """

    network: list[Predictions]
    embeddings: dict[str, Embeddings]
    fitted: FittedHeads
    head: ChosenHead
    scores: list[dict[str, Any]]
    shut_gates: list[str]

    def tables(self) -> dict[str, Rows | pa.Table]:
        """The trial's tables of embeddings, predictions, scores and neighbours."""
        predictions = (*self.network, *self.fitted.predictions)
        return {
            "embeddings": pa.concat_tables(part.table() for part in self.embeddings.values()),
            "predictions": pa.concat_tables(part.table() for part in predictions),
            "scores": self.scores,
            "neighbours": self.fitted.neighbours,
        }


def score_splits(key: str, session: TrainingSession) -> ScoredSplits:
    """Embeds every split, fits the post-hoc heads and scores all of them."""
    pairs, judge = session.cohort.pairs, session.judge
    network, embeddings, shut_gates = _embed(key, session)
    train, queries = embeddings["train"], [embeddings["val"], embeddings["test"]]
    heads = tuple(dict.fromkeys([*judge.heads, *judge.candidates]))
    fitted = fit_heads(train, queries, pairs.kind, pairs.labels, heads, judge.chooser, judge.thresholds)
    head = judge.choose_head(network[0].score, embeddings["val"], fitted.best)
    scores = [
        *score_rows(network, pairs.kind, pairs.labels, judge.thresholds),
        *fitted.scores,
        *retrieval_scores(judge, session.spec, train, queries, pairs.labels),
    ]
    if pairs.num_views == 2 and session.loss.trains_head:
        scores.append(swap_row(network[-1], session.embed("test", exchange=True).score))
    return ScoredSplits(
        network=network,
        embeddings=embeddings,
        fitted=fitted,
        head=head,
        scores=scores,
        shut_gates=shut_gates,
    )


def _embed(key: str, session: TrainingSession) -> tuple[list[Predictions], dict[str, Embeddings], list[str]]:
    """Predictions of validation and test, embeddings of every split, and gates that validation finds shut."""
    with watched_gates(session.net) as gates:
        embedded = {"val": session.embed("val")}
    embedded |= {split: session.embed(split) for split in SPLITS if split != "val"}
    network = [session.predictions(key, split, embedded[split]) for split in ("val", "test")]
    embeddings = {split: session.embeddings(key, split, embedded[split]) for split in SPLITS}
    return network, embeddings, gates.shut()
