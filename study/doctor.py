"""`python -m study.doctor [STUDY.yaml | CLUSTER.yaml]`: what usually goes wrong, each line with a remedy."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from study.command import add_setting_options, run_command
from study.engine.doctor.aws import PROFILES, policy
from study.engine.doctor.machine import Finding, check_import, check_machine
from study.places import CACHE, LOGS
from study.spec import components
from study.spec.catalogue import entries
from study.spec.errors import SpecError
from study.spec.reading import override, parse_settings, read_yaml
from study.spec.resolve import resolve
from study.spec.section import is_uri

COLOURS = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Returns:
        0 where all is well or there are only warnings, 1 where there are problems, 2 where the user must
        change something on the command line or in the file.
    """
    args = parser().parse_args(argv)
    console = Console(highlight=False, soft_wrap=True)
    return run_command(lambda: _doctor(args, console))


def parser() -> argparse.ArgumentParser:
    """The command line."""
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
    add_setting_options(cli)
    cli.add_argument(
        "--components",
        action="store_true",
        help="list every component with its arguments, source and what differs",
    )
    cli.add_argument(
        "--policy",
        nargs=2,
        metavar=("{head,worker}", "s3://BUCKET"),
        help="print the rights on AWS that the head or a worker needs, as JSON",
    )
    return cli


def _doctor(args: argparse.Namespace, console: Console) -> int:
    if args.components:
        _list_components(console)
        return 0
    if args.policy:
        machine, bucket = args.policy
        if machine not in PROFILES:
            raise SpecError(f"`--policy`: must be `head` or `worker`, got `{machine}`. Correct it.")
        print(policy(machine, bucket))
        return 0
    findings = _findings(args)
    _say(findings, console)
    return int(any(finding.state == "problem" for finding in findings))


def _findings(args: argparse.Namespace) -> list[Finding]:
    """The libraries can be imported, so that a file can be looked at, too."""
    if args.set and not args.file:
        raise SpecError("`--set`: must come with a study or cluster file, got none. Name the file.")
    data = override(read_yaml(args.file), parse_settings(args.set)) if args.file else {}
    findings = check_machine(_disks(str(data.get("storage") or "runs")))
    if not args.file:
        return findings
    if check_import("study.run").state == "problem":
        found = "not checked, since the libraries are broken"
        return [*findings, Finding("warning", str(args.file), found, "see above")]
    return findings + (_check_cluster(data) if "provider" in data else _check_study(args))


def _disks(storage: str) -> dict[str, Path]:
    """Folders of this machine that a study fills, by what they hold."""
    disks = {"Ray": Path(os.environ.get("RAY_TMPDIR", "/tmp/ray")), "images": CACHE}
    return disks if is_uri(storage) else {"results": Path(storage), **disks}


def _check_cluster(data: Mapping[str, object]) -> list[Finding]:
    from study.engine.doctor.cluster_file import check_cluster_file  # needs Ray, which can be imported by now

    return check_cluster_file(data, Path.cwd())


def _check_study(args: argparse.Namespace) -> list[Finding]:
    # These need Ray and torch, which can be imported by now.
    from study.engine.cluster.nodes import has_gpu
    from study.engine.doctor.nodes import check_nodes
    from study.engine.doctor.study import check_study

    spec = resolve(args.file, parse_settings(args.set), args.profile, has_gpu=has_gpu("local")).spec
    return check_study(spec, CACHE) + check_nodes(spec.resources.address, LOGS / "ray.log")


def _say(findings: list[Finding], console: Console) -> None:
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        state = f"[{COLOURS[finding.state]}]{finding.state:<7}[/]"
        what = escape(f"{finding.what:<{width}}")
        remedy = f"  [bold]->[/] {escape(finding.remedy)}" if finding.remedy else ""
        console.print(f"{state}  {what}  {escape(finding.found)}{remedy}")


def _list_components(console: Console) -> None:
    from study.reporting.registry import table_entries  # needs libraries without which the command must work

    _list_backbones(console)
    for kind in components.FOLDERS:
        console.print(f"\n[bold]{kind}[/]")
        for entry in table_entries() if kind == "table" else entries(kind):
            console.print(f"  [bold cyan]{entry.name}[/]  {escape(entry.summary)}")
            for argument in entry.arguments:
                console.print(f"      {escape(argument)}")
            console.print(f"      Source: {escape(entry.source)}")
            console.print(f"      Differs: {escape(entry.differs)}")


def _list_backbones(console: Console) -> None:
    from models.backbones import FOUNDATIONS, OWN  # needs torch, without which the command must still work

    console.print("[bold]backbone[/]")
    console.print(
        f"  {', '.join(OWN)}, any classification network of torchvision, any network of timm "
        "(timm/NAME forces it), and:"
    )
    for name, foundation in FOUNDATIONS.items():
        info = foundation.info
        trained_on = f"pretrained on {', '.join(info.pretrained_on)}"
        note = f" ({info.note})" if info.note else ""
        licence = f"{info.licence}, gated" if info.gated else info.licence
        line = f"{foundation.network}; {licence}; {escape(trained_on + note)}"
        console.print(f"  [bold cyan]{name}[/]  {line}")
        console.print(f"      Source: {escape(info.file)}")


if __name__ == "__main__":
    sys.exit(main())
