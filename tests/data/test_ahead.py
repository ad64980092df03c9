"""Batches for a GPU are made ahead by a thread; those for a CPU are made when they are asked for."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from study.data.ahead import AHEAD, made_ahead, on_thread


class Numbered(NamedTuple):
    number: Tensor


def counting(num: int, made: list[str]) -> Iterator[Numbered]:
    for i in range(num):
        made.append(threading.current_thread().name)
        yield Numbered(torch.tensor(i))


def test_a_thread_makes_them_in_order_and_not_too_far_ahead() -> None:
    numbers = iter(range(20))
    made: list[int] = []

    def make() -> int | None:
        made.append(next(numbers, -1))
        return made[-1] if made[-1] >= 0 else None

    for expected, number in enumerate(on_thread(make)):
        assert number == expected
        assert len(made) <= expected + 1 + AHEAD
    assert made[:20] == list(range(20))


def test_an_error_comes_where_the_batch_would_have_come() -> None:
    numbers = iter([1, 2, 0, 4])
    found = on_thread(lambda: 4 // next(numbers))
    assert [next(found), next(found)] == [4, 2]
    with pytest.raises(ZeroDivisionError, match="zero"):
        next(found)


def test_the_thread_ends_with_the_iteration() -> None:
    before = threading.active_count()
    found = on_thread(lambda: 1)
    next(found)
    assert threading.active_count() == before + 1
    found.close()  # type: ignore[attr-defined]  # a generator, as the caller's `for` knows it
    assert threading.active_count() == before


def test_batches_for_a_cpu_are_made_when_they_are_asked_for() -> None:
    made: list[str] = []
    batches = made_ahead(counting(5, made), torch.device("cpu"))
    for i, batch in enumerate(batches):
        assert int(batch.number) == i
        assert made == [threading.current_thread().name] * (i + 1)


class Event(NamedTuple):
    name: str


class Stream:
    """A stream that writes down what it is asked for."""

    def __init__(self, name: object, done: list[str]) -> None:
        self.name, self.done, self.num_made = str(name), done, 0

    def wait_stream(self, other: "Stream") -> None:
        self.done.append(f"{self.name} waits for {other.name}")

    def record_event(self) -> Event:
        self.num_made += 1
        return Event(f"batch {self.num_made}")

    def wait_event(self, event: Event) -> None:
        self.done.append(f"{self.name} waits for {event.name}")


class OnGpu(Tensor):
    """A tensor of a batch."""

    def record_stream(self, stream: Stream) -> None:  # type: ignore[override]
        stream.done.append(f"memory is of {stream.name}")


def test_a_gpu_waits_for_each_batch_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    current: list[str] = []

    def within(stream: Stream) -> AbstractContextManager[None]:
        current.append(stream.name)
        return nullcontext()

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream("training", done))
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream(device, done))
    monkeypatch.setattr(torch.cuda, "stream", within)
    batches = [(torch.zeros(1).as_subclass(OnGpu),) for _ in range(2)]
    for _ in made_ahead(iter(batches), torch.device("cuda")):
        done.append("used")
    assert done == [
        "cuda waits for training",
        *["training waits for batch 1", "memory is of training", "used"],
        *["training waits for batch 2", "memory is of training", "used"],
    ]
    assert set(current) == {"cuda"}
