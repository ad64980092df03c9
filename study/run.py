"""`python -m study.run STUDY.yaml`: a whole study, from the study file to the report."""

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from study.engine.cluster.connection import connected
from study.engine.cluster.nodes import await_a_node, has_gpu, machines, slots
from study.engine.cluster.tune import group_stopper, run_plan
from study.engine.forecast.preview import measured_share, preview
from study.engine.orders.driver_lock import driving
from study.engine.search.conductor import Conductor, Watcher
from study.engine.search.console import Live, by_section, shown
from study.engine.search.journal import Journal
from study.engine.start.provenance import provenance
from study.engine.start.start import Started, open_store, put_aside, start
from study.evidence.store import Store
from study.places import CACHE, LOGS
from study.report import write_report
from study.spec import components
from study.spec.errors import SpecError, StudyError
from study.spec.json_schema import json_schema
from study.spec.reading import override, parse_settings, read_yaml
from study.spec.resolve import Resolved, resolve
from study.spec.study_file import StudySpec


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Returns:
        0 done, 1 no trial was completed or too many failed in a row, 2 the user must change something, 130 interrupted.
    """
    args = parser().parse_args(argv)
    console = Console(stderr=False, highlight=False)
    try:
        if args.write_schema:
            args.write_schema.write_text(json_schema(), encoding="utf-8")
            return 0
        if args.study is None:
            raise SpecError(
                "`STUDY.yaml`: must be given. For example: python -m study.run search_spaces/dmsnet.yaml"
            )
        return run(args, console)
    except KeyboardInterrupt:
        console.print("stopped; finished trials are kept, and the same command goes on")
        return 130
    except StudyError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"[bold red]error[/] {escape(str(error))}"
        )
        return 2


def parser() -> argparse.ArgumentParser:
    """The command line."""
    cli = argparse.ArgumentParser(
        prog="python -m study.run",
        description="Run a study; the same command again goes on toward its total.",
    )
    cli.add_argument("study", type=Path, nargs="?", metavar="STUDY.yaml", help="study file")
    cli.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a value, e.g. data.root=/data/odir5k",
    )
    cli.add_argument(
        "--profile", default="auto", help="a profile of the study file; auto: full with a GPU, else laptop"
    )
    cli.add_argument("--address", help="Ray: local, auto or host:port")
    cli.add_argument("--storage", help="folder or URI for the results")
    again = cli.add_mutually_exclusive_group()
    again.add_argument(
        "--extend",
        action="store_true",
        help="go on with more than the run had: trials, ablations, choices, wider bounds",
    )
    again.add_argument(
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


def run(args: argparse.Namespace, console: Console) -> int:
    """Runs the study of the parsed command line."""
    wanted = parse_settings(args.set)
    wanted |= {
        key: value
        for key, value in (("resources.address", args.address), ("storage", args.storage))
        if value is not None
    }
    raw = override(read_yaml(args.study), wanted)
    address = (raw.get("resources") or {}).get("address", "local")
    with ExitStack() as cluster:
        if address != "local":  # whether there is a GPU, and so the profile, is known only there
            cluster.enter_context(connected(address, 1, LOGS / "ray.log"))
            await_a_node(console.print)
        resolved = resolve(args.study, wanted, args.profile, has_gpu(address))
        if args.dry_run:
            return _dry_run(resolved.spec, console)
        store = open_store(resolved)
        if args.fresh:
            put_aside(store)
        cluster.enter_context(driving(store))
        ready = _start(resolved, store, args, console)
        if ready.plan.num_left:
            logs = LOGS / resolved.spec.study
            if address == "local":
                cluster.enter_context(connected(address, resolved.spec.resources.workers, logs / "ray.log"))
            _train(resolved.spec, ready, logs, console)
    return _finish(ready, console)


def _dry_run(spec: StudySpec, console: Console) -> int:
    table = Table.grid(padding=(0, 2))
    table.add_row("[bold]forecast", f"[bold]{spec.study}[/]  {spec.num_trials} trials; nothing was started")
    for what, found in preview(spec, CACHE, *machines(spec.resources)).rows():
        table.add_row(what, found)
    console.print(table)
    return 0


def _start(resolved: Resolved, store: Store, args: argparse.Namespace, console: Console) -> Started:
    """Checks and prepares everything, and says what is about to run."""
    command = shlex.join(["python", "-m", "study.run", *sys.argv[1:]])
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=console, transient=True
    )
    with bar:

        def line(title: str) -> Callable[[int, int], None]:
            task = bar.add_task(title, visible=False)
            return lambda done, total: bar.update(task, completed=done, total=total, visible=done < total)

        ready = start(
            resolved,
            store,
            provenance(command),
            CACHE,
            line("decoding images"),
            line("training generators"),
            args.extend,
        )
    console.print(announcement(resolved, ready))
    return ready


def announcement(resolved: Resolved, ready: Started) -> Table:
    """What stands before the first trial: what is searched, on what data, by which profile."""
    spec, pairs, counts = resolved.spec, ready.cohort.pairs, ready.cohort.counts()
    table = Table.grid(padding=(0, 2))
    table.add_row("[bold]study", f"[bold]{spec.study}[/]  {escape(spec.title)}")
    table.add_row(
        "profile",
        resolved.profile + (f": {escape(by_section(resolved.changes))}" if resolved.changes else ""),
    )
    if pairs.synthetic:
        wanted = components.parse("dataset", resolved.data["data"]["dataset"], "data.dataset").name
        real = (
            f"Give the real one with --set data.root=FOLDER or STUDY_ROOT_{wanted.upper()}."
            if wanted != "phantom"
            else ""
        )
        table.add_row("[bold black on yellow]SYNTHETIC", f"Drawn images stand in for the data set. {real}")
    sides = ", ".join(f"{counts[side]['patients']} {side}" for side in ("train", "val", "test"))
    table.add_row(
        "data", f"{escape(pairs.root or pairs.dataset)}: {sides} patients, {len(pairs.labels)} labels"
    )
    for caution in ready.cautions:
        table.add_row("[bold yellow]caution", escape(caution))
    for reason, names in pairs.skipped.items():
        table.add_row("skipped", f"{len(names)} samples: {reason.replace('_', ' ')}")
    for made in ready.generated:
        images = ", ".join(f"{n} {escape(label)}" for label, n in made["counts"].items())
        table.add_row(
            "generated",
            f"{images}: {escape(made['generator'])}, {made['epochs']} epochs, share {made['share']:g} of training",
        )
    for sheet in dict.fromkeys(made["sheet"] for made in ready.generated):
        table.add_row("", f"beside real ones in {escape(sheet)}")
    done = sum(key.startswith("search-") for key in ready.plan.finished)
    follow = sum(len(a.variants) * len(a.seeds) for a in spec.ablations.values())
    again = spec.search.confirm
    then = f", then {spec.num_repeats} repeats of the best {again.top}" if again else ""
    then += f", then {follow} trials of {', '.join(spec.ablations)}" if follow else ""
    table.add_row(
        "search", f"{spec.num_trials} trials over {len(spec.holes())} parameters ({done} done){then}"
    )
    table.add_row("results", ready.store.where)
    return table


def _train(spec: StudySpec, ready: Started, logs: Path, console: Console) -> None:
    share = measured_share(spec, ready.cohort.pairs, *machines(spec.resources))
    slot = slots(spec.resources, share, console.print)
    progress = Live(console, ready.plan, ready.objective)
    stop_group = group_stopper() if slot.workers > 1 else None
    synthetic = ready.cohort.pairs.synthetic
    num_devices = slot.workers * (slot.gpus_per_worker or slot.cpus_per_worker)
    site = replace(ready.site, device_kind="cuda" if slot.gpus_per_worker else "cpu", num_devices=num_devices)
    halves = spec.resources.on_out_of_memory == "halve"
    watchers: list[Watcher] = [progress, Journal.beside(ready.store, spec, ready.objectives, ready.records)]
    conductor = Conductor(
        ready.plan, ready.store, site, synthetic, spec.keep_weights, halves, watchers, stop_group
    )
    with progress:
        run_plan(
            conductor,
            slot,
            str((logs / "tune").absolute()),
            lambda: console.print("stopping: finished trials are kept"),
        )
    if conductor.problem is not None:
        raise conductor.problem


def _current_page(store: Store) -> str | None:
    """The report's page if it is newer than every trial, so that a finished study answers at once."""
    page = store.filesystem.get_file_info(f"{store.root}/report/index.html")
    newest = max(row["ended"] for row in store.read_table("trial", columns=["ended"]).to_pylist())
    return f"{store.where}/report/index.html" if page.mtime is not None and page.mtime > newest else None


def _finish(ready: Started, console: Console) -> int:
    """Writes the report and says how it ended."""
    plan = ready.plan
    complete = [
        key
        for key, (state, _) in plan.finished.items()
        if state == "complete" and not key.startswith("baseline")
    ]
    to_go = plan.num_left + plan.running
    if to_go and not plan.stopped:
        console.print(f"interrupted with {to_go} trials to go; the same command goes on")
        if complete:
            console.print(
                f"report of what is there: python -m study.report {ready.store.where}", soft_wrap=True
            )
        return 130
    if complete:
        page = _current_page(ready.store) or write_report(ready.store.where)
        console.print(f"best {ready.objective} on validation: {shown(plan.best[0] if plan.best else None)}")
        console.print(f"report: {page}", soft_wrap=True)
    if plan.stopped:
        console.print(f"[bold red]ended with {to_go} trials to go[/]: {escape(plan.stopped)}", soft_wrap=True)
        console.print("finished trials are kept; remove the cause, and the same command goes on")
        return 1
    if not complete:
        console.print("[bold red]no trial was completed[/]; the reasons stand above and in the records")
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(
        code
    )  # all is closed by now, and after Ctrl-C Ray's library takes some eight seconds to take itself apart
