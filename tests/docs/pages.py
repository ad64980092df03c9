"""The code blocks of the documentation and of the README."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]*)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of code.

    Attributes:
        page: The page, relative to the project.
        language: The word behind the fence.
        title: Its title; empty without one.
        text: What stands in it.
    """

    page: str
    language: str
    title: str
    text: str


def blocks(page: Path, language: str = "") -> list[Block]:
    """The blocks of a page, those of one language where it is given."""
    name, text = page.relative_to(ROOT).as_posix(), page.read_text("utf-8")
    found = [Block(name, *match) for match in BLOCK.findall(text)]
    return [block for block in found if language in ("", block.language)]


def commands(page: Path) -> Iterator[str]:
    """Every command line of the shell blocks of a page, continued lines joined."""
    for block in blocks(page, "sh"):
        for line in block.text.replace("\\\n", " ").splitlines():
            if line.strip() and not line.startswith("#"):
                yield line
