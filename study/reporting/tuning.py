"""What the variants of an ablation have chosen for themselves, and by which search."""

from study.reporting.results import configuration
from study.reporting.run import Run


def tuned_choice(run: Run, trial: str) -> str:
    """The setting that a variant chose for the parameters that were tuned: `lr 0.0012`; else empty."""
    return configuration(run, trial) if run.of_trial(trial, "role") == "ablation" else ""


def tuning_remarks(run: Run, ablation: str) -> tuple[str, ...]:
    """How the variants were tuned, as a sentence; nothing where they were not."""
    found = run.study["spec"].get("ablations", {}).get(ablation) or {}
    tune = found.get("tune")
    if not tune:
        return ()
    names = ", ".join(name.rpartition(".")[2] for name in tune["parameters"])
    return (
        f"Each row was tuned alike: it tried the same {tune['trials']} settings of {names} with its first "
        "seed, validation chose one, and every seed was trained at that one.",
    )
