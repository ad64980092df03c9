"""What a person reads before the first trial: what is searched, on which data, by which profile."""

from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table

from study.data.split import SPLITS
from study.engine.start.preparing import MadeImages
from study.engine.start.start import Started
from study.evidence.records import Role
from study.spec import components
from study.spec.resolve import Resolved
from study.spec.study_file import StudySpec
from study.spec.wording import changes_text

Line = tuple[str, str]
"""What a line is about, and what it says; with Rich's markup."""


def announcement(resolved: Resolved, ready: Started) -> Table:
    """The lines before the first trial."""
    spec, prepared = resolved.spec, ready.prepared
    table = Table.grid(padding=(0, 2))
    table.add_row("[bold]study", f"[bold]{spec.study}[/]  {escape(spec.title)}")
    changes = f": {escape(changes_text(resolved.changes))}" if resolved.changes else ""
    table.add_row("profile", resolved.profile + changes)
    for line in _data(resolved, ready):
        table.add_row(*line)
    for caution in prepared.cautions:
        table.add_row("[bold yellow]caution", escape(caution))
    for reason, names in prepared.cohort.pairs.skipped.items():
        table.add_row("skipped", f"{len(names)} samples: {reason.replace('_', ' ')}")
    for images in prepared.generated:
        table.add_row("generated", _generated(images))
    for sheet in dict.fromkeys(images.sheet for images in prepared.generated):
        table.add_row("", f"beside real ones in {escape(sheet)}")
    for backbone in prepared.frozen:
        table.add_row("frozen", escape(str(backbone)))
    done = sum(result.role is Role.SEARCH for result in ready.plan.finished.values())
    table.add_row("search", _search(spec, done))
    table.add_row("results", ready.store.where)
    return table


def _data(resolved: Resolved, ready: Started) -> Iterator[Line]:
    pairs, counts = ready.prepared.cohort.pairs, ready.prepared.cohort.counts()
    if pairs.synthetic:
        name = components.parse("dataset", resolved.data["data"]["dataset"], "data.dataset").name
        real = f"Give the real one with --set data.root=FOLDER or STUDY_ROOT_{name.upper()}."
        drawn = "Drawn images stand in for the data set."
        yield "[bold black on yellow]SYNTHETIC", f"{drawn} {real}" if name != "phantom" else drawn
    patients = ", ".join(f"{counts[split]['patients']} {split}" for split in SPLITS)
    yield "data", f"{escape(pairs.root or pairs.dataset)}: {patients} patients, {len(pairs.labels)} labels"


def _generated(images: MadeImages) -> str:
    counts = ", ".join(f"{num} {escape(label)}" for label, num in images.counts.items())
    training = f"{images.epochs} epochs, share {images.share:g} of training"
    return f"{counts}: {escape(images.generator)}, {training}"


def _search(spec: StudySpec, done: int) -> str:
    line = f"{spec.num_trials} trials over {len(spec.holes())} parameters ({done} done)"
    if spec.search.finetune:
        line += f", then the best {spec.num_finetuned} fine-tuned for {spec.search.finetune.epochs} epochs"
    if spec.search.confirm:
        line += f", then {spec.num_repeats} repeats of the best {spec.search.confirm.top}"
    if num_ablations := len(spec.ablation_trainings()):
        line += f", then {num_ablations} trials of {', '.join(spec.ablations)}"
    return line
