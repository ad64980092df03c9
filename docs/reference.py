"""The reference pages, made from the code; `mkdocs.yml` names this file as a hook.

Each page is a function without arguments that gives Markdown. Nothing of it is committed.
"""

import argparse
import ast
import inspect
import io
import re
import tokenize
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pyarrow as pa

from models.backbones import FOUNDATIONS, OWN
from study.__main__ import COMMANDS
from study.evidence import schema
from study.reporting.registry import table_entries
from study.spec import components
from study.spec.catalogue import Entry, entries
from study.spec.holes import HOLE_KEYS
from study.spec.keys import KeySection, attributes, sections_of, values_of
from study.spec.posthoc import HEAD_SETTINGS
from study.spec.study_file import StudySpec
from study.spec.trial_spec import TrialSpec

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

Row = tuple[str, ...]
ROOT = Path(__file__).parents[1]
PLACES = {
    "STUDY": "study.parquet",
    "APPLIED": "predictions/DATASET.parquet",
    "SIMILAR": "predictions/NAME.similar.parquet",
    "HEATMAP_SAMPLES": "heatmaps/samples.parquet",
    "HEATMAP_MAPS": "heatmaps/maps.parquet",
    "HEATMAP_CHECKS": "heatmaps/checks.parquet",
    **{name.upper(): f"trials/KEY/{name}.parquet" for name in schema.TABLES},
    **{name.upper(): f"{name}.parquet" for name in schema.OF_RUN},
}
"""Where each schema of `study/evidence/schema.py` lies in a run's folder."""
EVERYWHERE = (
    "trial",
    "sample",
    "patient",
    "synthetic",
)  # columns that mean the same in every table and are explained once

CHECKS = {
    "engine/doctor/machine.py": "A machine",
    "engine/doctor/study.py": "A study file",
    "engine/doctor/nodes.py": "The nodes of a cluster",
    "engine/doctor/cluster_file.py": "A file for `ray up`",
    "engine/doctor/aws.py": "What such a file names on AWS",
    "doctor.py": "Where the libraries are broken",
}
"""Modules that look at something, by their title on the page."""


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Adds the pages to the site; mkdocs calls it."""
    from mkdocs.structure.files import File

    for name, page in PAGES.items():
        files.append(File.generated(config, name, content=page()))
    picture = ROOT / "benchmarks" / "results" / "phantom.jpg"
    files.append(File.generated(config, "phantom.jpg", abs_src_path=str(picture)))
    return files


def contributing() -> str:
    """`CONTRIBUTING.md`, so that there is one text."""
    return (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def study_file() -> str:
    """Every key of a study file with meaning, values and default."""
    holes = [
        (f"`type: {kind}`", ", ".join(f"`{key}`" for key in sorted(keys))) for kind, keys in HOLE_KEYS.items()
    ]
    heads = [
        (f"`{name}`", f"`{key}`", values_of(value), _text(attributes(model)[key]))
        for name, model in HEAD_SETTINGS.items()
        for key, value in model.model_json_schema()["properties"].items()
    ]
    parts = [
        "# The study file",
        "Each key with its meaning, its values and its default. A hole may stand in the place of a value "
        "where the column *Hole* says so. `python -m study.run --write-schema study.schema.json` writes the "
        "same as a JSON Schema, with which an editor completes and checks the file.",
        "## Holes",
        "A hole says which values the search may try. `log: true` searches on a logarithmic scale. A choice "
        "may bring holes of its own, which exist only where it is taken.",
        _table(("Hole", "Keys"), holes),
        "## Bundles and profiles",
        "`bundles` holds choices by name, each of which decides several settings that make sense only "
        "together, by dotted key. `profiles` holds settings by dotted key, by the profile's name; "
        "`--profile` takes one of them.",
        "## The study",
        *map(_section, sections_of(StudySpec)),
        "## A training",
        *map(_section, sections_of(TrialSpec)),
        "## Classifiers of `heads`",
        "What a study may fix of each classifier on stored embeddings; validation chooses the rest.",
        _table(("Classifier", "Setting", "Values", "Meaning"), heads),
    ]
    return _page(parts)


def _section(section: KeySection) -> str:
    rows = [
        (
            f"`{key.place}`",
            _text(key.meaning),
            f"[{key.kind}](components.md#{key.kind})" if key.kind else key.values or "see below",
            "must be given" if key.default is None else f"`{key.default}`" if key.default else "",
            "yes" if key.takes_hole else "",
        )
        for key in section.keys
    ]
    columns = ("Key", "Meaning", "Values", "Default", "Hole")
    width = len(columns) if any(key.takes_hole for key in section.keys) else len(columns) - 1
    table = _table(columns[:width], [row[:width] for row in rows])
    if not section.place:
        return table
    title = f"## `{section.place}`"
    if section.keys[0].place == f"{section.place}.name" and section.keys[0].default:  # one of several forms
        title += f" {section.keys[0].default}"
    return "\n\n".join([title, _text(section.meaning), table])


def component_list() -> str:
    """Every component with its arguments, its source, and what differs from it."""
    parts = [
        "# Components",
        "A component is set by its name, or by a mapping with `name` and its arguments: "
        "`{name: osim, kernel: 3}`. Each argument may be a hole. `python -m study.doctor --components` "
        "prints this list.",
        "## backbone",
        f"{', '.join(f'`{name}`' for name in OWN)}, any classification network of torchvision, any network "
        "of timm (`timm/NAME` forces it), and:",
        *(_foundation(name) for name in FOUNDATIONS),
    ]
    for kind in components.FOLDERS:
        parts.append(f"## {kind}")
        parts += [_component(entry) for entry in (table_entries() if kind == "table" else entries(kind))]
    return _page(parts)


def _foundation(name: str) -> str:
    info = FOUNDATIONS[name].info
    note = f" {info.note[:1].upper()}{info.note[1:]}." if info.note else ""
    gated, seen = ", gated" if info.gated else "", ", ".join(info.pretrained_on)
    lines = [
        f"- Network: `{FOUNDATIONS[name].network}`",
        f"- Licence: {info.licence}{gated}",
        f"- Pretrained on: {_text(f'{seen}.{note}')}",
        f"- Source: {_text(info.file)}",
    ]
    return "\n".join([f"### `{name}`", "", *lines])


def _component(entry: Entry) -> str:
    arguments = [f"- `{argument}`" for argument in entry.arguments]
    origin = [
        f"- {word}: {_text(text)}"
        for word, text in (("Source", entry.source), ("Differs", entry.differs))
        if text
    ]
    return "\n".join([f"### `{entry.name}`", "", _text(entry.summary), "", *arguments, *origin])


def records() -> str:
    """Every column of every Parquet table."""
    parts = [
        "# Records",
        "A run is a folder. Each trial has a folder `trials/KEY`, which becomes visible when all of its "
        "files are complete. Every 256 finished trials are packed into larger files below `packs/`; "
        "`study.open_run` reads both. `split.csv` says which patient is in which split. "
        "`synthetic` is true wherever a number comes from drawn images.",
    ]
    comments = _comments(schema)
    known: dict[str, str] = {}
    for name, table in vars(schema).items():
        if not isinstance(table, pa.Schema):
            continue
        own = comments.get(name) or comments["PREDICTIONS"] | comments["DECIDED"]
        rows = []
        for field in table:
            meaning = own.get(field.name) or (known.get(field.name, "") if field.name in EVERYWHERE else "")
            known.setdefault(field.name, meaning)
            rows.append((f"`{field.name}`", f"`{field.type}`", _text(meaning)))
        parts += [f"## `{PLACES[name]}`", _table(("Column", "Type", "Meaning"), rows)]
    return _page(parts)


def _comments(module: ModuleType) -> dict[str, dict[str, str]]:
    """The comment beside each column, by the name of the schema."""
    source = inspect.getsource(module)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    of_line = {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        columns = [part for part in ast.walk(node) if isinstance(part, ast.Tuple)]
        found[node.targets[0].id] = {
            ast.literal_eval(column.elts[0]): of_line.get(column.end_lineno or 0, "") for column in columns
        }
    return found


def commands() -> str:
    """Every command with its options."""
    parts = ["# Commands", "`study COMMAND` and `python -m study.COMMAND` are the same."]
    for name, what in COMMANDS.items():
        cli = parser_of(name)
        usage = re.sub(r"\n +", "\n    ", cli.format_usage().removeprefix("usage: ").strip())
        rows = [
            (_option(action), _text(action.help or "")) for action in cli._actions if action.dest != "help"
        ]
        parts += [f"## `{name}`", f"{_text(what).capitalize()}.", f"```text\n{usage}\n```"]
        parts.append(_table(("Option", "Meaning"), rows))
    return _page(parts)


def parser_of(command: str) -> argparse.ArgumentParser:
    """The command line of a command."""
    cli: argparse.ArgumentParser = import_module(f"study.{command}").parser()
    return cli


def doctor_messages() -> str:
    """Every message of the doctor, read from the calls that make it."""
    parts = [
        "# Messages of the doctor",
        "`python -m study.doctor` prints a line for each thing that it looks at, and `study.doctor FILE` "
        "those of a study or a cluster file, too. A *problem* fails a study or leaks what it must not; a "
        "*warning* may. Here stands what each can say where something is wrong; `…` is what was found.",
    ]
    for module, title in CHECKS.items():
        rows: list[Row] = []
        for function in ast.parse((ROOT / "study" / module).read_text("utf-8")).body:
            if isinstance(function, ast.FunctionDef):
                rows += _messages(function)
        parts += [f"## {title}", _table(("Looked at", "Must hold", "State", "Found", "What to do"), rows)]
    return _page(parts)


def _messages(function: ast.FunctionDef) -> list[Row]:
    """Texts of each finding that a function gives where something is wrong, in the order of its lines."""
    line_of = attrgetter("lineno")
    assigned = [node for node in ast.walk(function) if isinstance(node, ast.Assign | ast.AnnAssign)]
    local = [(node.lineno, *pair) for node in sorted(assigned, key=line_of) for pair in _named(node)]
    calls = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding"
    ]
    must_hold = (ast.get_docstring(function) or "").partition("\n\n")[0]
    rows = []
    for call in sorted(calls, key=line_of):
        before = {name: value for line, name, value in local if line < call.lineno}
        state, what, *texts = (_template(argument, before) for argument in call.args)
        if len(texts) == 2:  # what is well has no remedy
            rows.append(tuple(map(_text, (what, must_hold, state, *texts))))
    return rows


def _named(node: ast.Assign | ast.AnnAssign) -> list[tuple[str, ast.expr]]:
    """Names that an assignment gives, each with its value."""
    target, value = node.targets[0] if isinstance(node, ast.Assign) else node.target, node.value
    if isinstance(target, ast.Name) and value is not None:
        return [(target.id, value)]
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        pairs = zip(target.elts, value.elts, strict=True)
        return [(name.id, part) for name, part in pairs if isinstance(name, ast.Name)]
    return []


def _template(node: ast.expr, local: Mapping[str, ast.expr]) -> str:
    """The text that an expression makes, with `…` where only a run knows it."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_template(part, local) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _template(node.value, local)
    if isinstance(node, ast.IfExp):
        texts = [_template(part, local) for part in (node.body, node.orelse)]
        return " or ".join(dict.fromkeys(texts))
    if isinstance(node, ast.Name) and node.id in local:
        others = {
            name: value for name, value in local.items() if name != node.id
        }  # of `found = f"{found}; ..."`
        return _template(local[node.id], others)
    return "…"


def _option(action: argparse.Action) -> str:
    shown = action.metavar or (action.dest.upper() if action.nargs != 0 else "")
    value = " ".join(shown) if isinstance(shown, tuple) else shown
    return f"`{' '.join(filter(None, [*action.option_strings, value]))}`"


def _text(text: str) -> str:
    """A docstring's text on one line, with `<` outside of code shown as itself."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else part.replace("<", "&lt;") for part in parts)


def _table(columns: Row, rows: Sequence[Row]) -> str:
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _page(parts: list[str]) -> str:
    return "\n\n".join(parts) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "reference/study-file.md": study_file,
    "reference/components.md": component_list,
    "reference/records.md": records,
    "reference/commands.md": commands,
    "reference/doctor.md": doctor_messages,
    "contributing.md": contributing,
}
