"""Ray's own reading of a cluster file."""

import contextlib
import copy
import io
import logging
from collections.abc import Mapping

from ray.autoscaler._private.util import prepare_config, validate_config


def schema_error(cluster: Mapping[str, object]) -> str:
    """What Ray's schema and rules say against a cluster file; empty where it is valid.

    Args:
        cluster: Content of the file, which Ray completes with its defaults.
    """
    logging.disable(logging.WARNING)  # what Ray fills in is no news to the user
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            validate_config(prepare_config(copy.deepcopy(dict(cluster))))
    except Exception as error:  # Ray raises whatever its schema library or a missing key raises
        lines = str(error).splitlines() or [""]
        return f"{type(error).__name__}: {lines[0]}"
    finally:
        logging.disable(logging.NOTSET)
    return ""
