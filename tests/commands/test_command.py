"""What all commands have in common."""

from importlib import import_module
from importlib.metadata import version

import pytest

from study import __main__ as everything
from study.command import USER_ERROR, run_command
from study.spec.errors import DataError


def test_a_command_ends_with_the_code_of_its_body() -> None:
    assert run_command(lambda: 1) == 1


def test_an_error_of_the_user_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse() -> int:
        raise DataError("`data.root`: must be [a folder], got " + "x" * 200)

    assert run_command(refuse) == USER_ERROR
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"error `data.root`: must be [a folder], got {'x' * 200}\n"


def test_any_other_error_is_a_bug_and_shows_itself() -> None:
    def fail() -> int:
        raise KeyError("label")

    with pytest.raises(KeyError, match="label"):
        run_command(fail)


def test_one_name_stands_for_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert everything.main([]) == 0
    said = capsys.readouterr().out
    assert "usage: study COMMAND" in said
    assert all(f"  {name} " in said for name in everything.COMMANDS)
    assert everything.main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == version("eyepair-study")
    assert everything.main(["doctor", "--policy", "worker", "s3://eyes"]) == 0
    assert '"s3:PutObject"' in capsys.readouterr().out


def test_a_command_that_is_not_there_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert everything.main(["reprot"]) == 2
    assert "must be followed by a command, got `reprot`. Did you mean `report`?" in " ".join(
        capsys.readouterr().err.split()
    )


@pytest.mark.parametrize("name", everything.COMMANDS)
def test_every_command_is_there(name: str) -> None:
    assert callable(import_module(f"study.{name}").main)
