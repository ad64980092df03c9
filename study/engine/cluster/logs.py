"""What Ray and the libraries around it say, kept off the console."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ray._private import worker as ray_worker


@contextmanager
def logging_to(log: Path) -> Iterator[None]:
    """Sends what Ray, Tune and Optuna log to a file instead of the console."""
    log.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(log)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("ray", "optuna", "torch")]
    before = [(logger.handlers, logger.propagate) for logger in loggers]
    printer = ray_worker.print_to_stdstream
    for logger in loggers:
        logger.handlers, logger.propagate = [handler], False
    # Ray prints what its processes say. Here it is logged, as an error: Ray's logger takes nothing less.
    ray_worker.print_to_stdstream = lambda data, ignore_prefix: loggers[0].error("\n".join(data["lines"]))
    try:
        yield
    finally:
        ray_worker.print_to_stdstream = printer
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
        handler.close()
