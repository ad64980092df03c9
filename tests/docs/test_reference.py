"""The reference pages hold every key, component, column and command; they are made without mkdocs."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from docs import reference
from models.backbones import FOUNDATIONS
from study.__main__ import COMMANDS
from study.evidence import schema
from study.reporting.registry import table_names
from study.spec import components
from study.spec.json_schema import json_schema
from study.spec.keys import Key, sections_of
from study.spec.study_file import StudySpec
from study.spec.trial_spec import TrialSpec


def keys_of(part: dict[str, Any], where: str, definitions: dict[str, Any]) -> Iterator[str]:
    """Dotted keys of a JSON Schema, those of components left out."""
    if "$ref" in part:
        if part["$ref"].endswith("/hole"):
            return
        part = definitions[part["$ref"].removeprefix("#/$defs/")]
    properties = part.get("properties", {})
    if "const" in properties.get("name", {}) and not where.startswith("task"):
        return
    for key, inner in properties.items():
        place = f"{where}.{key}" if where else key
        yield place
        yield from keys_of(inner, place, definitions)
    for option in part.get("anyOf", ()):
        yield from keys_of(option, where, definitions)
    if isinstance(part.get("additionalProperties"), dict):
        yield from keys_of(part["additionalProperties"], f"{where}.NAME", definitions)


def all_keys() -> dict[str, Key]:
    sections = [*sections_of(StudySpec), *sections_of(TrialSpec)]
    return {key.place: key for section in sections for key in section.keys}


def test_every_key_of_the_schema_has_a_row_with_a_meaning() -> None:
    whole = json.loads(json_schema())
    places = set(keys_of(whole, "", whole["$defs"])) - {"bundles", "profiles"}
    assert {"data.split.folds", "search.finetune.top", "ablations.NAME.tune.trials"} <= places
    page = reference.study_file()
    assert not [place for place in places if f"\n| `{place}` | " not in page]
    assert "`bundles`" in page
    assert "`profiles`" in page
    found = all_keys()
    assert found.keys() == places
    assert [key for key in found.values() if not key.meaning and key.place != "task.name"] == []


def test_defaults_ranges_and_holes_are_those_of_the_sections() -> None:
    found = all_keys()
    lr, size, fusion = (found[place] for place in ("optimiser.lr", "data.image_px", "model.fusion"))
    assert (lr.default, lr.values, lr.takes_hole) == ("0.0001", "number, above 0, at most 1", True)
    assert size.values == "whole number, at least 16, at most 4096"
    assert (fusion.kind, fusion.default) == ("fusion", "concat")
    assert found["model.backbone.name"].default is None
    assert not found["data.split.folds"].takes_hole
    assert not found["optimiser"].takes_hole
    assert found["model.backbone"].takes_hole


@pytest.mark.parametrize("kind", components.FOLDERS)
def test_every_component_is_listed(kind: str) -> None:
    page = reference.component_list()
    part = page.partition(f"\n## {kind}\n")[2].partition("\n## ")[0]
    names = table_names() if kind == "table" else components.names(kind)
    assert [name for name in names if f"\n### `{name}`\n" not in part] == []


def test_components_stand_with_arguments_source_and_differences() -> None:
    page = reference.component_list()
    osim = page.partition("\n### `osim`\n")[2].partition("\n### ")[0]
    assert "- `kernel: " in osim
    assert "- Source: " in osim
    assert "- Differs: " in osim
    assert [name for name in FOUNDATIONS if f"\n### `{name}`\n" not in page] == []


def test_every_column_is_listed_with_its_comment() -> None:
    page = reference.records()
    tables = {name: table for name, table in vars(schema).items() if isinstance(table, pa.Schema)}
    assert tables.keys() == reference.PLACES.keys()
    for name, table in tables.items():
        part = page.partition(f"\n## `{reference.PLACES[name]}`\n")[2].partition("\n## ")[0]
        assert [column for column in table.names if f"\n| `{column}` | " not in part] == []
    assert "| `num_trials` | `int32` | trials of the search |" in page
    assert "| `head` | `string` | network \\| prior \\| a post-hoc head" in page


def test_no_column_is_without_a_meaning() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `[^|]+` \| ?(.*?) ?\|$", reference.records(), re.MULTILINE)
    assert len(rows) > 100
    assert [name for name, meaning in rows if not meaning] == []


def test_every_command_is_listed_with_every_option() -> None:
    page = reference.commands()
    for name in COMMANDS:
        part = page.partition(f"\n## `{name}`\n")[2].partition("\n## ")[0]
        options = {
            option for action in reference.parser_of(name)._actions for option in action.option_strings
        }
        assert options
        assert [option for option in options - {"-h", "--help"} if f"| `{option}" not in part] == []


def test_messages_of_the_doctor_stand_with_their_remedy() -> None:
    page = reference.doctor_messages()
    assert (
        "| open files | How many files a process may open; Ray keeps some for each worker and connection. "
        "| warning | unlimited or … | ulimit -n 65536 before a study with many trials at a time |" in page
    )
    assert (
        "| disk of … | Room where a study writes; Ray stops at 95 % of its disk. | problem | … free at … |"
        in page
    )
    modules = {path.name for path in (reference.ROOT / "study" / "engine" / "doctor").glob("*.py")}
    assert modules - {"__init__.py"} == {name.rpartition("/")[2] for name in reference.CHECKS} - {"doctor.py"}
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if row[0] not in ("Looked at", "---")]
    assert {row[2] for row in rows} == {"problem", "warning", "problem or warning", "warning or problem"}
    assert [row for row in rows if not all(row)] == []
    sources = [(reference.ROOT / "study" / name).read_text() for name in reference.CHECKS]
    written = sum(len(re.findall(r'Finding\(\s*"(?:problem|warning)",', source)) for source in sources)
    assert len([row for row in rows if " or " not in row[2]]) == written
