from pathlib import Path

import pytest

from study.engine.doctor.nodes import check_nodes, code_hash, compare_nodes, facts
from study.spec.errors import ClusterError

HERE = {"Python": "3.11.7", "torch": "2.9.0", "code": "aaaa"}


def test_equal_nodes_are_one_finding() -> None:
    (finding,) = compare_nodes(HERE, {"10.0.0.2:1": dict(HERE), "10.0.0.3:1": dict(HERE)})
    assert (finding.state, finding.found) == ("ok", "this machine's Python, libraries and code on all 2")


@pytest.mark.parametrize(
    ("there", "found", "remedy"),
    [
        ({"torch": "2.8.0"}, "torch 2.8.0 (here 2.9.0)", "uv sync --locked there"),
        ({"code": "bbbb"}, "code bbbb (here aaaa)", "the same checkout there: ray up again copies it"),
        (
            {"Python": "3.12.1", "torch": ""},
            "Python 3.12.1 (here 3.11.7), torch missing (here 2.9.0)",
            "the same Python there; uv sync",
        ),
    ],
)
def test_a_node_that_differs_is_a_problem_with_its_remedy(
    there: dict[str, str], found: str, remedy: str
) -> None:
    (finding,) = compare_nodes(HERE, {"10.0.0.2:1": dict(HERE), "10.0.0.3:1": {**HERE, **there}})
    assert (finding.state, finding.found) == ("problem", f"10.0.0.3:1: {found}")
    assert finding.remedy.startswith(remedy)


def test_a_node_that_does_not_answer_is_a_problem() -> None:
    (finding,) = compare_nodes(HERE, {"10.0.0.2:1": ClusterError("no answer within 60 s")})
    assert (finding.state, finding.found) == ("problem", "10.0.0.2:1: no answer within 60 s")


def test_a_cluster_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    (finding,) = check_nodes("127.0.0.1:1", tmp_path / "ray.log")
    assert finding.state == "problem"
    assert "must be `local`, `auto` or the address of a running cluster" in finding.found


def test_a_study_on_this_machine_has_no_nodes_to_check(tmp_path: Path) -> None:
    assert check_nodes("local", tmp_path / "ray.log") == []


def test_what_must_be_the_same_is_known_here() -> None:
    assert {"Python", "torch", "torchvision", "ray", "optuna", "code"} <= set(facts())
    assert all(facts().values())


def test_the_code_hash_sees_names_and_content(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "a.py").write_text("x = 1")
    before = code_hash(tmp_path)
    assert code_hash(tmp_path) == before
    (tmp_path / "study" / "a.py").rename(tmp_path / "study" / "b.py")
    renamed = code_hash(tmp_path)
    (tmp_path / "study" / "b.py").write_text("x = 2")
    assert len({before, renamed, code_hash(tmp_path)}) == 3
