"""Processes that want the same images at the same time decode them once."""

import multiprocessing
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from study.data.cache import ImageCache
from study.data.datasets.phantom import Phantom
from study.data.pairs import Pairs
from study.data.preprocessing import Preprocessing

NUM = 3


def pairs() -> Pairs:
    return Phantom(None, num_patients=20).read()


def build(folder: Path, start: "multiprocessing.synchronize.Barrier") -> None:
    drawn = pairs().load

    def counted(key: str) -> UInt8[np.ndarray, "h w 3"]:
        with (folder / "decoded").open("a") as file:
            file.write(f"{key}\n")
        return drawn(key)

    found = pairs()
    object.__setattr__(found, "load", counted)
    start.wait()
    ImageCache.build(found, Preprocessing(image_px=32), folder / "cache")


def test_trials_that_start_together_decode_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(NUM)
    processes = [context.Process(target=build, args=(tmp_path, start)) for _ in range(NUM)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * NUM
    decoded = (tmp_path / "decoded").read_text().splitlines()
    assert len(decoded) == len(set(decoded)) == 40
    assert len(list((tmp_path / "cache").iterdir())) == 1
