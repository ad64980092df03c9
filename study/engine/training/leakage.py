"""One configuration, trained with and without images of the test patients."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from study.data.audit import duplicate_groups
from study.data.cohort import Cohort, open_images
from study.data.leaks import LEAKS, leaking_splits
from study.data.source import open_dataset
from study.engine.training.fit import fit
from study.engine.training.session import TrainingSession
from study.engine.training.trained_state import load_trained_state, trained_state
from study.engine.training.workers import ALONE
from study.evidence.decisions import HALF, decide
from study.evidence.leakage import LeakyTraining, Price, prices
from study.evidence.metrics import DEFAULT_OBJECTIVE, aggregate_metric
from study.evidence.objective import measure_of, read_objective
from study.evidence.predictions import Predictions
from study.evidence.retrieval import is_retrieval
from study.evidence.statistics.bootstrap import DecidedPredictions
from study.spec.errors import SpecError
from study.spec.trial_spec import TrialSpec


def price_of_leakage(
    spec: TrialSpec, seeds: int, cache: Path, progress: Callable[[int, int], None]
) -> list[Price]:
    """Trains the configuration once for each split and seed, and compares the splits on their test images.

    Args:
        spec: The configuration; its samples are single images.
        seeds: Number of divisions, and of trainings for each split.
        cache: Folder of all image caches.
        progress: Called with the trainings done and their total.

    Returns:
        The objective (of a retrieval the usual metric for such labels) and the area under the curve for each
        split.

    Raises:
        SpecError: The loss does not train the network's own head.
    """
    images = open_images(spec.data, open_dataset(spec.data, cache), cache)
    pairs, division = images.pairs, spec.data.split
    objective = read_objective(spec.objective, pairs.kind, spec.task)
    main = DEFAULT_OBJECTIVE[pairs.kind] if is_retrieval(objective.name) else measure_of(objective.name)
    names = dict.fromkeys([main, "macro_auc"])
    metrics = [aggregate_metric(name, pairs.kind, "objective") for name in names]
    groups = duplicate_groups(images)
    trainings: dict[str, list[LeakyTraining]] = {name: [] for name in LEAKS}
    for seed in range(seeds):
        splits = leaking_splits(pairs, groups, val=division.val, test=division.test, seed=seed)
        for name in LEAKS:
            divided = Cohort(images, splits[name])
            predictions = _predictions(spec.repeated(seed=seed, fold=0, folds=1), divided, cache)
            decision = decide(predictions.score, pairs.kind, HALF)
            rows, tested = divided.rows("train"), set(groups[divided.rows("test")])
            training = LeakyTraining(
                DecidedPredictions(predictions, decision, seed=seed),
                training_images=len(rows),
                leaked=sum(group in tested for group in groups[rows]),
            )
            trainings[name].append(training)
            progress(sum(map(len, trainings.values())), seeds * len(LEAKS))
    return prices(metrics, trainings, pairs.table["patient"].tolist())


def for_single_eyes(spec: TrialSpec) -> TrialSpec:
    """The configuration with each eye as a sample of its own; with one eye there is nothing to fuse.

    Raises:
        SpecError: A part of it needs both eyes.
    """
    plain = spec.dump()
    plain["data"]["unit"] = "eye"
    plain["data"]["split"]["file"] = None
    plain["model"]["fusion"] = "concat"
    plain["training"] |= {"supervision": "sample", "eye_weight": 0.0}
    return TrialSpec.read(plain)


def _predictions(spec: TrialSpec, cohort: Cohort, cache: Path) -> Predictions:
    """Trains on the cohort, and predicts its test images with the weights of the best epoch."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    session = TrainingSession.from_spec(spec, cache, device, cohort=cohort)
    if not session.loss.trains_head:
        raise SpecError(
            f"`loss`: must train the network's own head, got {spec.loss.name}. Give a study file "
            "with another one, for example --set loss=cross_entropy"
        )
    best: dict[str, Tensor] = {}
    batches = session.training_batches(ALONE)
    for epoch in fit(
        session.trained, session.loss, batches, session.evaluate, spec.optimiser, spec.training, device
    ):
        if epoch.improved:
            best = {name: tensor.clone() for name, tensor in trained_state(session.net).items()}
    load_trained_state(session.net, best)
    return session.predictions("", "test", session.embed("test"))
