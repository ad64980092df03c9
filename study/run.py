"""`python -m study.run STUDY.yaml`: a whole study, from the study file to the report."""

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from study.command import add_setting_options, run_command
from study.engine.applying.pictures import keep_pictures
from study.engine.cluster.connection import connected
from study.engine.cluster.nodes import await_a_node, has_gpu, machines, slots
from study.engine.cluster.tune import group_stopper, run_plan
from study.engine.forecast.preview import measured_share, preview
from study.engine.orders.driver_lock import driving
from study.engine.search.conductor import Conductor
from study.engine.search.console import Live
from study.engine.search.ensembling import publish_ensemble
from study.engine.search.journal import Journal
from study.engine.search.packing import Packing
from study.engine.start.announcement import announcement
from study.engine.start.provenance import provenance
from study.engine.start.start import Started, open_store, put_aside, start
from study.engine.training.judge import judge_of
from study.evidence.ledger import enter_records
from study.evidence.records import Role, State
from study.evidence.store import Store
from study.places import CACHE, LOGS
from study.report import write_report
from study.reporting.answer import answer_lines
from study.reporting.run import load_run
from study.reporting.similar import samples_with_pictures, shown_cases
from study.spec.errors import SpecError, StudyError
from study.spec.json_schema import json_schema
from study.spec.reading import override, parse_settings, read_yaml
from study.spec.resolve import Resolved, resolve
from study.spec.study_file import StudySpec
from study.spec.trial_spec import TrialSpec
from study.spec.wording import number_text

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Returns:
        0 where it is done, 1 where no trial was completed or too many failed in a row, 2 where the user
        must change something, 130 where it was interrupted.
    """
    given = sys.argv[1:] if argv is None else argv
    console = Console(highlight=False)
    # Slurm, Kubernetes and systemd end a process so; to a study that is a Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return run_command(lambda: execute(given, console)[0])
    except KeyboardInterrupt:
        console.print("stopped; finished trials are kept, and the same command goes on")
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """The command line."""
    cli = argparse.ArgumentParser(
        prog="python -m study.run",
        description="Run a study; the same command again goes on toward its total.",
    )
    cli.add_argument("study", type=Path, nargs="?", metavar="STUDY.yaml", help="study file")
    add_setting_options(cli)
    cli.add_argument("--address", help="Ray: local, auto or host:port")
    cli.add_argument("--storage", help="folder or URI for the results")
    earlier_run = cli.add_mutually_exclusive_group()
    earlier_run.add_argument(
        "--extend",
        action="store_true",
        help="go on with more than the run had: trials, ablations, choices, wider bounds",
    )
    earlier_run.add_argument(
        "--fresh", action="store_true", help="put an earlier run of the same name aside and start anew"
    )
    cli.add_argument(
        "--dry-run",
        action="store_true",
        help="check everything, say what the study will take, and start nothing",
    )
    cli.add_argument(
        "--write-schema",
        type=Path,
        metavar="FILE",
        help="write the study file's JSON Schema for editors, and end",
    )
    return cli


def execute(argv: Sequence[str], console: Console) -> tuple[int, str]:
    """Does what the command line asks for.

    Args:
        argv: The command line behind the name of the command; the records of the trials keep it.
        console: Where to print.

    Returns:
        The exit code as in `main`, and the place of the run; empty where nothing was run.

    Raises:
        StudyError: Whatever the user can have got wrong.
    """
    args = parser().parse_args(argv)
    if args.write_schema:
        args.write_schema.write_text(json_schema(), encoding="utf-8")
        return 0, ""
    if args.study is None:
        raise SpecError(
            "`STUDY.yaml`: must be given, got none. "
            "For example: python -m study.run search_spaces/dmsnet.yaml"
        )
    settings = parse_settings(args.set)
    if args.address is not None:
        settings["resources.address"] = args.address
    if args.storage is not None:
        settings["storage"] = args.storage
    asked = override(read_yaml(args.study), settings)
    address = (asked.get("resources") or {}).get("address", "local")
    with ExitStack() as cluster:
        if address != "local":  # only the cluster knows whether it has a GPU, which the profile depends on
            cluster.enter_context(connected(address, 1, LOGS / "ray.log"))
            await_a_node(console.print)
        resolved = resolve(args.study, settings, args.profile, has_gpu=has_gpu(address))
        if args.dry_run:
            return _dry_run(resolved.spec, console), ""
        store = open_store(resolved)
        if args.fresh:
            put_aside(store)
        cluster.enter_context(driving(store))
        command = shlex.join(["python", "-m", "study.run", *argv])
        ready = _start(resolved, store, command, console, extend=args.extend)
        if ready.plan.num_left:
            logs = LOGS / resolved.spec.study
            if address == "local":
                cluster.enter_context(connected(address, resolved.spec.resources.workers, logs / "ray.log"))
            _train(resolved.spec, ready, logs, console)
    return _finish(ready, console), store.where


def _dry_run(spec: StudySpec, console: Console) -> int:
    table = Table.grid(padding=(0, 2))
    table.add_row("[bold]forecast", f"[bold]{spec.study}[/]  {spec.num_trials} trials; nothing was started")
    nodes, measure = machines(spec.resources)
    for what, need in preview(spec, CACHE, nodes, measure).rows():
        table.add_row(what, need)
    console.print(table)
    return 0


def _start(resolved: Resolved, store: Store, command: str, console: Console, *, extend: bool) -> Started:
    """Checks and prepares everything, and says what is about to run."""
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=console, transient=True
    )
    with bar:
        titles = ("reading images", "training generators", "running frozen backbones")
        lines = [_line(bar, title) for title in titles]
        ready = start(resolved, store, provenance(command), CACHE, *lines, extend=extend)
    console.print(announcement(resolved, ready))
    return ready


def _line(bar: Progress, title: str) -> Callable[[int, int], None]:
    """A line of the progress bar, which appears with the first progress and goes with the last.

    A file has no bar: there the first progress is said, since what follows may take minutes.
    """
    task = bar.add_task(title, visible=False, total=None)

    def show(done: int, total: int) -> None:
        if not bar.console.is_terminal and bar.tasks[task].total != total and done < total:
            bar.console.print(f"{title}: {done:,} of {total:,}")
        bar.update(task, completed=done, total=total, visible=done < total)

    return show


def _train(spec: StudySpec, ready: Started, logs: Path, console: Console) -> None:
    """Runs the plan on the connected cluster.

    Raises:
        StorageError: The records could not be written.
        ClusterError: The cluster on this machine has died, or cannot hold a trial.
    """
    prepared, pairs = ready.prepared, ready.prepared.cohort.pairs
    nodes, measure = machines(spec.resources)
    slot = slots(spec.resources, measured_share(spec, pairs, nodes, measure), console.print)
    progress = Live(console, ready.plan, prepared.objective)
    journal = Journal.beside(ready.store, spec, prepared.objectives, ready.finished)
    packing = Packing(ready.store, [trial.trial for trial in ready.finished])
    site = replace(
        ready.site,
        device_kind="cuda" if slot.gpus_per_worker else "cpu",
        num_devices=slot.workers * (slot.gpus_per_worker or slot.cpus_per_worker),
    )
    conductor = Conductor(
        ready.plan,
        ready.store,
        site,
        synthetic=pairs.synthetic,
        keep_weights=spec.keep_weights,
        halves=spec.resources.on_out_of_memory == "halve",
        watchers=[progress, journal, packing],
        stop_group=group_stopper() if slot.workers > 1 else None,
    )
    tune_folder = str((logs / "tune").absolute())
    with progress, packing:
        run_plan(conductor, slot, tune_folder, lambda: console.print("stopping: finished trials are kept"))
    if conductor.problem is not None:
        raise conductor.problem


def _finish(ready: Started, console: Console) -> int:
    """Enters the trials in the ledger, writes the report and says how the study ended."""
    enter_records(ready.store)
    plan = ready.plan
    complete = any(
        result.state is State.COMPLETE and result.role is not Role.BASELINE
        for result in plan.finished.values()
    )
    to_go = plan.num_left + plan.running
    if to_go and not plan.stopped:
        console.print(f"interrupted with {to_go} trials to go; the same command goes on")
        if complete:
            console.print(
                f"report of what is there: python -m study.report {ready.store.where}", soft_wrap=True
            )
        return INTERRUPTED
    if complete:
        _add_ensemble(ready)
        page = _current_page(ready.store) or _report(ready.store, console)
        for line in answer_lines(load_run(ready.store.where)):
            console.print(line, soft_wrap=True, markup=False)
        best = number_text(plan.best_value)
        console.print(f"best {ready.prepared.objective} on validation: {best}")
        console.print(f"report: {page}", soft_wrap=True)
    if plan.stopped:
        console.print(f"[bold red]ended with {to_go} trials to go[/]: {escape(plan.stopped)}", soft_wrap=True)
        console.print("finished trials are kept; remove the cause, and the same command goes on")
        return 1
    if not complete:
        console.print("[bold red]no trial was completed[/]; the reasons stand above and in the records")
        return 1
    return 0


def _add_ensemble(ready: Started) -> None:
    """Publishes the ensemble of the trials, which needs no training."""
    pairs, trial = ready.prepared.cohort.pairs, ready.prepared.any_trial
    judge = judge_of(trial, pairs.kind, trains_head=True)
    publish_ensemble(ready.store, ready.site, trial, judge, pairs.labels)
    enter_records(ready.store)


def _report(store: Store, console: Console) -> str:
    """Writes the report, for which the photographs of the cases that it shows are kept first."""
    run = load_run(store.where)
    cases = shown_cases(run)
    if cases is not None:
        data = TrialSpec.read(run.of_trial(cases.known.trial, "spec")).data
        try:
            keep_pictures(store, data, samples_with_pictures(cases))
        except StudyError as error:  # the numbers are there, and the report says that the photographs are not
            console.print(f"[yellow]no photographs of similar cases:[/] {escape(str(error))}", soft_wrap=True)
    return write_report(store.where)


def _current_page(store: Store) -> str | None:
    """The page of the report if it is newer than every trial, so that a finished study answers at once."""
    page = store.filesystem.get_file_info(f"{store.root}/report/index.html")
    newest = max(row["ended"] for row in store.read_table("trial", columns=["ended"]).to_pylist())
    return store.place("report", "index.html") if page.mtime is not None and page.mtime > newest else None


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # All is closed by now, and after Ctrl-C Ray's library takes some eight seconds to take itself apart.
    os._exit(code)
