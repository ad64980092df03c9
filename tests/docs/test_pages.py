"""What the documentation and the README name is there: studies, commands, options, files."""

import re
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs import reference
from study.__main__ import COMMANDS
from study.reporting.papers import PaperTable
from study.spec.reading import parse_yaml
from study.spec.resolve import resolve
from tests.docs.pages import PAGES, ROOT, Block, blocks

PART = "# part of a study file\n"
WHOLE = {"study": "whole", "data": {"dataset": "phantom"}, "model": {"backbone": "tiny"}}
OWN = "docs/how-to/own-component.md"  # its component is installed in `test_python_blocks.py`
COMMAND = re.compile(r"(?:python -m study\.|(?:^|`|uv run )study )([a-z_]+)\b([^\n`#|&>]*)", re.MULTILINE)
CODE = re.compile(r"^```.*?^```$|^ {4}\S.*?$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")


STUDIES = [
    pytest.param(block, id=f"{block.page}-{number}")
    for page in PAGES
    for number, block in enumerate(blocks(page, "yaml"))
]


def merged(whole: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """The whole with the part's values in their places."""
    both = {
        key: merged(whole[key], part[key])
        for key in whole.keys() & part.keys()
        if isinstance(whole[key], dict)
    }
    return {**whole, **part, **both}


@pytest.mark.parametrize("block", STUDIES)
def test_every_study_in_a_page_is_a_study(block: Block, tmp_path: Path) -> None:
    data = parse_yaml(block.text, block.page)
    assert isinstance(data, dict)
    if block.title.startswith("study/reporting/published/"):
        table = PaperTable.model_validate({"name": "mine", "ablation": "mine", **data})
        assert table.reference in table.rows
        return
    assert ("study" in data) != block.text.startswith(PART), "a part of a study file says so"
    if block.page == OWN:
        return
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(data if "study" in data else merged(WHOLE, data)))
    spec = resolve(file, {}, "auto", has_gpu=False).spec
    assert spec.trials_to_check()


def named_commands(page: Path) -> list[tuple[str, str]]:
    """Each command that a page's code names, with what stands behind it."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    return [match for code in CODE.findall(text) for match in COMMAND.findall(code)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_exists_with_its_options(page: Path) -> None:
    for name, rest in named_commands(page):
        assert name in COMMANDS, f"study.{name}"
        if rest.count("'") % 2:  # the whole command stands between quotes
            rest = rest.rpartition("'")[0]
        words = shlex.split(rest.replace("$machine", "head"))
        if words and words != ["..."]:
            reference.parser_of(name).parse_args(words)


def test_the_pages_name_every_command() -> None:
    named = {name for page in PAGES for name, _ in named_commands(page)}
    assert named == COMMANDS.keys()


def test_options_that_stand_alone_exist() -> None:
    actions = [action for name in COMMANDS for action in reference.parser_of(name)._actions]
    known = {option for action in actions for option in action.option_strings}
    for page in PAGES:
        alone = re.findall(r"`(?:\.\.\. )?(--[a-z-]+)[^`]*`", page.read_text("utf-8"))
        assert set(alone) <= known, page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file(page: Path) -> None:
    made = {(ROOT / "docs" / name).resolve() for name in (*reference.PAGES, "phantom.jpg")}
    for target, _ in LINK.findall(page.read_text("utf-8")):
        if "://" in target:
            continue
        path = (page.parent / target).resolve()
        assert path.is_file() or path in made, f"{target} is not there"


def test_files_that_the_pages_name_are_there() -> None:
    yours = {"models/fusions/product.py"}
    for page in PAGES:
        text = page.read_text("utf-8")
        names = set(re.findall(r"`((?:search_spaces|benchmarks|docs|models|study)/[\w/.]+)`", text)) - yours
        missing = [name for name in names if "NAME" not in name and not (ROOT / name).exists()]
        assert missing == [], page.name


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    listed = set(re.findall(r": ([\w/-]+\.md)$", text, re.MULTILINE))
    written = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert listed == written | reference.PAGES.keys()


def test_version_and_date_are_those_of_the_changes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    newest = re.search(
        r"^## (\S+) \((\d+)\w+ (\w+), (\d+)\)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M
    )
    assert newest is not None
    version, day, month, year = newest.groups()
    assert version == project["version"] == citation["version"]
    assert f"{day} {month} {year}" == f"{citation['date-released']:%-d %B %Y}"
