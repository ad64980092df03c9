"""`python -m study.doctor [STUDY.yaml | CLUSTER.yaml]`: what usually goes wrong here, and the remedy, one line each."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from study.engine.doctor.machine import Finding, check_import, check_machine
from study.spec import components
from study.spec.catalogue import entries
from study.spec.errors import SpecError, StudyError
from study.spec.reading import override, parse_settings, read_yaml

COLOURS = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; 0 all well or warnings, 1 problems, 2 the user must change something on the command line or in the file."""
    cli = argparse.ArgumentParser(
        prog="python -m study.doctor", description="Check what usually goes wrong, and say the remedy."
    )
    cli.add_argument(
        "file",
        type=Path,
        nargs="?",
        metavar="STUDY.yaml | CLUSTER.yaml",
        help="also check a study or a cluster file",
    )
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
    cli.add_argument(
        "--components",
        action="store_true",
        help="list every component with its arguments, source and what differs",
    )
    args = cli.parse_args(argv)
    console = Console(highlight=False, soft_wrap=True)
    try:
        if args.components:
            _list_components(console)
            return 0
        findings = _findings(args)
    except StudyError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"[bold red]error[/] {escape(str(error))}"
        )
        return 2
    _say(findings, console)
    return int(any(finding.state == "problem" for finding in findings))


def _findings(args: argparse.Namespace) -> list[Finding]:
    data = override(read_yaml(args.file), parse_settings(args.set)) if args.file else {}
    if args.set and not args.file:
        raise SpecError("`--set`: must come with a study or cluster file, got none.")
    disks = {
        "results": Path(data.get("storage") or "runs"),
        "Ray": Path(os.environ.get("RAY_TMPDIR", "/tmp/ray")),
    }
    if (importable := check_import("study.run")).state == "ok":
        disks["images"] = importlib.import_module("study.run").CACHE
    findings = check_machine({what: folder for what, folder in disks.items() if "://" not in str(folder)})
    if not args.file:
        return findings
    if importable.state == "problem":
        return [
            *findings,
            Finding("warning", str(args.file), "not checked, since the libraries are broken", "see above"),
        ]
    return findings + (_of_cluster(data) if "provider" in data else _of_study(args))


def _of_cluster(data: dict[str, Any]) -> list[Finding]:
    from study.engine.doctor.cluster_file import (
        check_cluster_file,  # needs ray, which is known to be importable by now
    )

    return check_cluster_file(data, Path.cwd())


def _of_study(args: argparse.Namespace) -> list[Finding]:
    from study.engine.cluster.nodes import (
        has_gpu,  # needs ray and torch, which are known to be importable by now
    )
    from study.engine.doctor.nodes import check_nodes
    from study.engine.doctor.study import check_study
    from study.places import LOGS
    from study.spec.resolve import resolve

    spec = resolve(args.file, parse_settings(args.set), args.profile, has_gpu("local")).spec
    return check_study(spec) + check_nodes(spec.resources.address, LOGS / "ray.log")


def _say(findings: list[Finding], console: Console) -> None:
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        state, what = f"{finding.state:<7}", f"{finding.what:<{width}}"
        remedy = f"  [bold]->[/] {escape(finding.remedy)}" if finding.remedy else ""
        console.print(
            f"[{COLOURS[finding.state]}]{state}[/]  {escape(what)}  {escape(finding.found)}{remedy}"
        )


def _list_components(console: Console) -> None:
    from models.backbones._info import (
        FOUNDATIONS,  # needs torch, without which the command must still say what is wrong
    )

    console.print(
        "[bold]backbone[/]\n  tiny, any classification network of torchvision, any network of timm (timm/NAME forces it), and:"
    )
    for name, foundation in FOUNDATIONS.items():
        info = foundation.info
        seen = f"pretrained on {', '.join(info.pretrained_on)}" + (f" ({info.note})" if info.note else "")
        licence = f"{info.licence}, gated" if info.gated else info.licence
        console.print(f"  [bold cyan]{name}[/]  {foundation.network}; {licence}; {escape(seen)}")
        console.print(f"      Source: {escape(info.file)}")
    for kind in components.FOLDERS:
        console.print(f"\n[bold]{kind}[/]")
        for entry in entries(kind):
            console.print(f"  [bold cyan]{entry.name}[/]  {escape(entry.summary)}")
            for argument in entry.arguments:
                console.print(f"      {escape(argument)}")
            console.print(f"      Source: {escape(entry.source)}")
            console.print(f"      Differs: {escape(entry.differs)}")


if __name__ == "__main__":
    sys.exit(main())
