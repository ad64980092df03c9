"""Do the tables' intervals, tests and verdicts hold? Measured on invented cohorts whose truth is known.

    python benchmarks/cohorts.py [--cohorts 300] [--patients 50 200 365] [--eyes 1 2] [--parts coverage ...]

`invented_cohorts.py` says what the patients are. The output is Markdown, as in `results/statistics.md`. The
file is not called `statistics.py`, because Python would then import it in the place of its own module.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from invented_cohorts import METRICS, POOLED, STRENGTH, Case, Cohort, ranked, true_value, truth

from study.evidence.statistics.comparison import holm, paired
from study.evidence.statistics.estimate import Estimate, estimate
from study.evidence.statistics.jackknife import LeftOut
from study.evidence.statistics.selection import selection_bootstrap
from study.evidence.statistics.verdict import TOLERANCE, verdict_on

PER_LABEL = ("auc", "average_precision", "f1", "recall", "specificity")
AGGREGATES = (*(f"macro_{name}" for name in PER_LABEL), *POOLED)
BANDS = {  # carriers from, to less than
    "1 to 4": (1, 5),
    "5 to 9": (5, 10),
    "10 to 19": (10, 20),
    "20 to 49": (20, 50),
    "50 or more": (50, 10**6),
}
MIN_INTERVALS = 20  # of fewer, no coverage is said
Hits = dict[str, list[tuple[bool, bool, float]]]  # by name: too high, too low, width


def coverage(case: Case, num_cohorts: int) -> tuple[Hits, dict[str, int]]:
    """How the intervals of one network lie, by metric, and how many numbers of each had none."""
    hits: Hits = defaultdict(list)
    without: dict[str, int] = defaultdict(int)
    for seed in range(num_cohorts):
        cohort = Cohort(case, np.random.default_rng([case.patients, case.eyes, seed]))
        metrics = [METRICS[name] for name in (*PER_LABEL, *AGGREGATES)]
        found = estimate(metrics, [cohort.network()], LeftOut(cohort.patient))
        carriers = found["macro_f1"][0].support.carriers
        for name in AGGREGATES:
            _add(hits, without, name, found[name][0], true_value(name, carriers))
        for name in PER_LABEL:
            for place, num in enumerate(carriers):
                band = next((name for name, (low, high) in BANDS.items() if low <= num < high), "")
                if band:
                    _add(hits, without, f"{name}, {band} carriers", found[name][place], truth()[name][place])
    return hits, without


def _add(hits: Hits, without: dict[str, int], name: str, found: Estimate, true: float) -> None:
    if np.isnan(found.low):
        without[name] += 1
    else:
        hits[name].append((found.low > true, found.high < true, found.high - found.low))


def false_positives(case: Case, num_cohorts: int, *, stronger: float = 0.0) -> dict[str, float]:
    """How often networks are said to differ, by metric and for whole tables after Holm's correction.

    Args:
        case: The size.
        num_cohorts: Number of cohorts.
        stronger: By how much the other networks are stronger; 0 measures false positives, else power.
    """
    names = [name for name in AGGREGATES if name != "odir_final"]  # which sorts all scores once more
    metrics = [METRICS[name] for name in names]
    shown = ("macro_auc", "macro_average_precision", "macro_f1", "odir_kappa", "exact_match", "micro_f1")
    single: dict[str, list[bool]] = defaultdict(list)
    tables: dict[str, list[bool]] = defaultdict(list)
    for seed in range(num_cohorts):
        cohort = Cohort(case, np.random.default_rng([case.patients, case.eyes, seed, 1]))
        groups = LeftOut(cohort.patient)
        reference, *others = [
            estimate(metrics, [cohort.network(stronger=stronger if i else 0.0)], groups) for i in range(12)
        ]
        p_values = {
            (i, name): paired(other[name][0], reference[name][0]).p_value
            for i, other in enumerate(others)
            for name in names
        }
        for name in names:
            if not np.isnan(p_values[0, name]):
                single[name].append(p_values[0, name] < 0.05)
        for rows, size in ((2, "12 comparisons"), (11, "66 comparisons")):
            adjusted = holm([p_values[i, name] for i in range(rows) for name in shown])
            tables[size].append(min(p for p in [*adjusted, 1.0] if not np.isnan(p)) < 0.05)
    return {name: float(np.mean(found)) for name, found in (single | tables).items()}


def selection(case: Case, num_cohorts: int, name: str) -> tuple[float, float, float]:
    """The choice among twenty networks, whose strengths differ with a standard deviation of 0.1.

    Returns:
        The mean error of the chosen network's value, that of the corrected value, and how often the corrected
        interval holds the value on endless patients. Errors are beside what any network's value is off on so
        few patients.
    """
    errors, covers = [], []
    for seed in range(num_cohorts):
        rng = np.random.default_rng([case.patients, case.eyes, seed, 2])
        cohort = Cohort(case, rng)
        strengths = 0.1 * rng.standard_normal(20)
        networks = [cohort.network(stronger=float(strength)) for strength in strengths]
        values = [METRICS[name].compute(network.evaluation())[0] for network in networks]
        carried = cohort.target.any(axis=0)
        endless = [ranked(STRENGTH + strength)[name][carried].mean() for strength in strengths]
        trials = [network.predictions for network in networks]
        found = selection_bootstrap(METRICS[name], "multilabel", trials, "half", num_resamples=200)
        best = int(np.argmax(values))
        off = np.mean(np.array(values) - endless)
        errors.append([found.naive - endless[best] - off, found.corrected - endless[best] - off])
        if not np.isnan(found.low):
            covers.append(found.low <= endless[best] <= found.high)
    naive, corrected = np.mean(errors, axis=0)
    return float(naive), float(corrected), float(np.mean(covers)) if covers else float("nan")


def verdicts(case: Case, num_cohorts: int, *, difference: float, spread: float) -> dict[str, float]:
    """How often each verdict is given on a published AUC of a network with another seed and other patients.

    Args:
        case: The size of both cohorts.
        num_cohorts: Number of pairs of cohorts.
        difference: By how much the published method is truly better.
        spread: Standard deviation of a label's strength over seeds.
    """
    said: dict[str, int] = defaultdict(int)
    metric = METRICS["macro_auc"]
    for seed in range(num_cohorts):
        rng = np.random.default_rng([case.patients, case.eyes, seed, 3])
        ours, theirs = Cohort(case, rng), Cohort(case, rng)
        own, other = (spread * float(number) for number in rng.standard_normal(2))
        published = metric.compute(theirs.network(stronger=other).evaluation())[0] + difference
        found = estimate([metric], [ours.network(stronger=own)], LeftOut(ours.patient))[metric.name][0]
        said[verdict_on(float(published), found, case.patients).conclusion] += 1
    return {name: said[name] / num_cohorts for name in ("reproduced", "not reproduced", "cannot tell")}


def seeds(case: Case, num_cohorts: int, *, num_seeds: int, spread: float) -> float:
    """How often two equal methods are said to differ in macro AUC, each trained with some seeds."""
    metric, different = METRICS["macro_auc"], []
    for seed in range(num_cohorts):
        rng = np.random.default_rng([case.patients, case.eyes, seed, 4])
        cohort = Cohort(case, rng)
        rows = []
        for _ in range(2):
            strengths = spread * rng.standard_normal(num_seeds)
            trained = [replace(cohort.network(stronger=float(s)), seed=i) for i, s in enumerate(strengths)]
            rows.append(estimate([metric], trained, LeftOut(cohort.patient))[metric.name][0])
        different.append(paired(*rows).p_value < 0.05)
    return float(np.mean(different))


def coverage_table(cases: Sequence[Case], num_cohorts: int) -> list[str]:
    """Lines of Markdown: a row for each metric, a column for each case."""
    found = [coverage(case, num_cohorts) for case in cases]
    rows = []
    for name in dict.fromkeys(name for hits, without in found for name in (*hits, *without)):
        rows.append([name, *(_covered(hits.get(name, []), none.get(name, 0)) for hits, none in found)])
    return _table(["interval of", *(case.name for case in cases)], rows)


def _covered(hits: Sequence[tuple[bool, bool, float]], num_without: int) -> str:
    """`.951 (.023, .026) 0.12`: covered, wholly above the truth, wholly below it; mean width."""
    if len(hits) < MIN_INTERVALS:
        return f"{num_without} without" if num_without else ""
    above, below, width = np.mean(np.array(hits, dtype=float), axis=0)
    rare = f", {num_without} without" if num_without else ""
    return f"{1 - above - below:.3f} ({above:.3f}, {below:.3f}) {width:.2f}{rare}"


def tests_table(cases: Sequence[Case], num_cohorts: int) -> list[str]:
    """False positives of single tests and of whole tables, and the power where all others are better."""
    equal = [false_positives(case, num_cohorts) for case in cases]
    better = [false_positives(case, max(20, num_cohorts // 5), stronger=0.5) for case in cases]
    names = dict.fromkeys(name for found in equal for name in found)
    rows = (
        [name, *(f"{_share(e, name)} / {_share(b, name)}" for e, b in zip(equal, better, strict=True))]
        for name in names
    )
    return _table(["said to differ: equal / stronger by 0.5", *(case.name for case in cases)], rows)


def _share(found: Mapping[str, float], name: str) -> str:
    return f"{found[name]:.3f}" if name in found else "no test"


def selection_table(cases: Sequence[Case], num_cohorts: int) -> list[str]:
    """Errors of the chosen network's value before and after the correction, and coverage of its interval."""
    rows = [
        [name, *("{:+.3f} / {:+.3f} / {:.3f}".format(*selection(case, num_cohorts, name)) for case in cases)]
        for name in ("macro_auc", "macro_average_precision")
    ]
    return _table(["error as it stands / corrected / covered", *(case.name for case in cases)], rows)


def verdicts_table(cases: Sequence[Case], num_cohorts: int) -> list[str]:
    """Verdicts on an equal published number and on one that differs by twice the tolerance."""
    rows = []
    for difference, spread in ((0.0, 0.0), (0.0, 0.1), (2 * TOLERANCE, 0.0), (2 * TOLERANCE, 0.1)):
        found = [verdicts(case, num_cohorts, difference=difference, spread=spread) for case in cases]
        said = (" / ".join(f"{share:.3f}" for share in of.values()) for of in found)
        rows.append([f"difference {difference:.2f}, seeds' spread {spread:.1f}", *said])
    return _table(["reproduced / not / cannot tell", *(case.name for case in cases)], rows)


def seeds_table(cases: Sequence[Case], num_cohorts: int) -> list[str]:
    """How often two equal methods are said to differ, by the number of seeds of each."""
    rows = []
    for num in (1, 3, 5):
        found = (seeds(case, num_cohorts, num_seeds=num, spread=0.1) for case in cases)
        rows.append([f"{num} seeds, spread 0.1", *(f"{share:.3f}" for share in found)])
    return _table(["said to differ", *(case.name for case in cases)], rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


PARTS = {
    "coverage": (
        coverage_table,
        "95 % intervals: coverage (above, below the truth), width; numbers without one",
    ),
    "tests": (tests_table, "Paired tests at 5 %, and tables of them after Holm's correction"),
    "selection": (selection_table, "The best of twenty networks on validation"),
    "verdicts": (verdicts_table, "Verdicts on a published macro AUC"),
    "seeds": (seeds_table, "Two equal methods with few seeds, macro AUC"),
}


def main() -> None:
    cli = argparse.ArgumentParser(description="Measures how often intervals, tests and verdicts hold.")
    cli.add_argument("--cohorts", type=int, default=300, help="cohorts of each case")
    cli.add_argument("--patients", type=int, nargs="+", default=[50, 200, 365])
    cli.add_argument("--eyes", type=int, nargs="+", default=[1, 2])
    cli.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    args = cli.parse_args()
    cases = [Case(patients, eyes) for patients in args.patients for eyes in args.eyes]
    for name in args.parts:
        make, title = PARTS[name]
        print(f"## {title}\n\n`python {' '.join(sys.argv)}`\n")
        print("\n".join(make(cases, args.cohorts)), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
