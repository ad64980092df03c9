"""What all commands have in common."""

import pytest

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
