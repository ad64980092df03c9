"""The figures of the house: length, form, types, coverage and time of the project and of its tests.

    python benchmarks/house.py [--check] [--coverage .cache/coverage.json] [--tests .cache/quick-tests.xml]

Lengths of functions are lines of the body without its docstring; a function inside another counts for both.
Coverage and seconds of the quick tests are read from the two files, which `.ci/run` writes, and left out
where a file is missing. With `--check` the script exits with code 1 where a limit is broken, and names each
place.
"""

import argparse
import ast
import io
import json
import statistics
import sys
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = {"study, models": ("study", "models"), "tests, benchmarks": ("tests", "benchmarks")}
MOST_COLUMNS = 110
MOST_BODY = 40
MOST_FILE = 300
MOST_FORS = 2
LEAST_COVERAGE = 90.0
LEAST_FILE_COVERAGE = 70.0
LONG_BODIES: dict[str, str] = {}  # "path:function": why its body may have more than 40 lines
THIN_FILES = {  # "path": why its coverage may be under 70 %
    "study/engine/cluster/nodes.py": "waits for nodes and asks them, which the slow tests of clusters do",
    "study/engine/cluster/trainer.py": "runs in workers of Ray, which the slow tests of worker groups start",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def body_length(function: Function) -> int:
    """Lines from the first statement after the docstring to the last."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if not body:
        return 0
    decorators = body[0].decorator_list if isinstance(body[0], Function | ast.ClassDef) else []
    first = min([body[0].lineno, *(decorator.lineno for decorator in decorators)])
    return (body[-1].end_lineno or first) - first + 1


def num_fors(comprehension: Comprehension) -> int:
    """Number of `for`s in a comprehension, those of comprehensions inside it included."""
    return sum(isinstance(node, ast.comprehension) for node in ast.walk(comprehension))


@dataclass(frozen=True)
class Source:
    """A file of the project.

    Attributes:
        path: Relative to the project's root, with slashes.
        text: Its whole text.
    """

    path: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        """Lines without their ends."""
        return self.text.splitlines()

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the syntax tree."""
        return list(ast.walk(ast.parse(self.text)))

    @property
    def functions(self) -> list[tuple[str, int]]:
        """Name and length of each function's body."""
        return [(node.name, body_length(node)) for node in self.nodes if isinstance(node, Function)]

    @property
    def num_any(self) -> int:
        """Number of times that `Any` is used; its import does not count."""
        return sum(isinstance(node, ast.Name) and node.id == "Any" for node in self.nodes)

    @property
    def num_ignores(self) -> int:
        """Number of comments that switch the type checker off."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return sum(token.type == tokenize.COMMENT and "type: ignore" in token.string for token in tokens)

    @property
    def long_lines(self) -> list[int]:
        """Numbers of the lines that are too long."""
        return [number for number, line in enumerate(self.lines, 1) if len(line) > MOST_COLUMNS]

    @property
    def dense_comprehensions(self) -> list[int]:
        """Line numbers of comprehensions with too many `for`s."""
        found = [node for node in self.nodes if isinstance(node, Comprehension)]
        return [node.lineno for node in found if num_fors(node) > MOST_FORS]


def read_sources(folders: tuple[str, ...]) -> list[Source]:
    """Reads every Python file of the folders."""
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [Source(path.relative_to(ROOT).as_posix(), path.read_text("utf-8")) for path in paths]


def figures(sources: list[Source]) -> dict[str, str]:
    """Computes the figures of one column of the table, by their names."""
    num_lines = sum(len(source.lines) for source in sources)
    lengths = [length for source in sources for _, length in source.functions]
    num_any = sum(source.num_any for source in sources)
    num_ignores = sum(source.num_ignores for source in sources)
    return {
        "files": f"{len(sources):,}",
        "lines": f"{num_lines:,}",
        "function length, median": f"{statistics.median(lengths):g}",
        "function length, 95th percentile": f"{statistics.quantiles(lengths, n=20)[-1]:.0f}",
        f"functions over {MOST_BODY} lines": str(sum(length > MOST_BODY for length in lengths)),
        "`Any` in 1,000 lines": f"{1000 * num_any / num_lines:.1f}",
        "`type: ignore` in 1,000 lines": f"{1000 * num_ignores / num_lines:.1f}",
        f"lines over {MOST_COLUMNS} columns": str(sum(len(source.long_lines) for source in sources)),
        f"files over {MOST_FILE} lines": str(sum(len(source.lines) > MOST_FILE for source in sources)),
        f"comprehensions with over {MOST_FORS} `for`s": str(
            sum(len(source.dense_comprehensions) for source in sources)
        ),
    }


@dataclass(frozen=True)
class Coverage:
    """Statements and branches that the quick tests run, in percent.

    Attributes:
        total: Of all files together.
        files: Of each file, by its path.
    """

    total: float
    files: Mapping[str, float]

    @classmethod
    def read(cls, path: Path) -> "Coverage":
        """Reads the JSON report of coverage.py."""
        report = json.loads(path.read_text("utf-8"))
        files = {Path(name).as_posix(): entry["summary"] for name, entry in report["files"].items()}
        by_file = {name: float(summary["percent_covered"]) for name, summary in files.items()}
        return cls(float(report["totals"]["percent_covered"]), by_file)


def test_seconds(path: Path) -> float:
    """Reads from a JUnit report how many seconds its tests took."""
    return sum(float(suite.get("time", "nan")) for suite in ElementTree.parse(path).iter("testsuite"))


def form_faults(sources: list[Source]) -> Iterator[str]:
    """Names every place where a limit of form is broken."""
    long = {
        f"{source.path}:{name}": length
        for source in sources
        for name, length in source.functions
        if length > MOST_BODY
    }
    for source in sources:
        for number in source.long_lines:
            yield f"{source.path}:{number}: the line has over {MOST_COLUMNS} columns"
        for number in source.dense_comprehensions:
            yield f"{source.path}:{number}: the comprehension has over {MOST_FORS} `for`s"
    for place in sorted(long.keys() - LONG_BODIES):
        yield f"{place}: the body has {long[place]} lines, over {MOST_BODY}"
    for place in sorted(LONG_BODIES.keys() - long):
        yield f"{place}: LONG_BODIES gives a reason that nothing needs"


def coverage_faults(coverage: Coverage) -> Iterator[str]:
    """Names every limit of coverage that is broken."""
    thin = {path: percent for path, percent in coverage.files.items() if percent < LEAST_FILE_COVERAGE}
    if coverage.total < LEAST_COVERAGE:
        yield f"total coverage is {coverage.total:.1f} %, under {LEAST_COVERAGE:g} %"
    for path in sorted(thin.keys() - THIN_FILES):
        yield f"{path}: its coverage is {thin[path]:.1f} %, under {LEAST_FILE_COVERAGE:g} %"
    for path in sorted(THIN_FILES.keys() - thin):
        yield f"{path}: THIN_FILES gives a reason that nothing needs"


def table(columns: Mapping[str, Mapping[str, str]]) -> str:
    """Lays the figures out as a Markdown table, aligned."""
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    rows = [["figure", *columns], *([name, *(c.get(name, "") for c in columns.values())] for name in names)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for first, *others in rows:
        numbers = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append(f"| {' | '.join([first.ljust(widths[0]), *numbers])} |")
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([lines[0], f"| {' | '.join(rule)} |", *lines[1:]])


def main() -> int:
    cli = argparse.ArgumentParser(description="Prints the figures of the house.")
    cli.add_argument("--check", action="store_true", help="exit with code 1 where a limit is broken")
    cli.add_argument("--coverage", type=Path, default=ROOT / ".cache/coverage.json")
    cli.add_argument("--tests", type=Path, default=ROOT / ".cache/quick-tests.xml")
    args = cli.parse_args()
    sources = {name: read_sources(folders) for name, folders in COLUMNS.items()}
    columns = {name: figures(files) for name, files in sources.items()}
    project, beside = columns.values()
    faults = [fault for files in sources.values() for fault in form_faults(files)]
    if args.coverage.is_file():
        coverage = Coverage.read(args.coverage)
        faults += coverage_faults(coverage)
        project["coverage of statements and branches"] = f"{coverage.total:.1f} %"
    if args.tests.is_file():
        beside["seconds of the quick tests"] = f"{test_seconds(args.tests):.0f}"
    print(table(columns))
    if args.check and faults:
        print("\n".join(["", *faults]), file=sys.stderr)
    return 1 if args.check and faults else 0


if __name__ == "__main__":
    sys.exit(main())
