"""Ray's own reading of a cluster file."""

import contextlib
import copy
import io
import logging
from collections.abc import Mapping
from typing import Any

from ray.autoscaler._private.util import prepare_config, validate_config


def schema_error(cluster: Mapping[str, Any]) -> str:
    """What Ray's schema and rules say against a cluster file with Ray's defaults filled in; empty where it is valid.

    Args:
        cluster: the file's content.
    """
    logging.disable(logging.WARNING)  # what Ray fills in is no news to the user
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            validate_config(prepare_config(copy.deepcopy(dict(cluster))))
    except Exception as error:  # Ray raises whatever its schema library or a missing key raises
        reason = (str(error).splitlines() or [""])[0]
        return f"{type(error).__name__}: {reason}"
    finally:
        logging.disable(logging.NOTSET)
    return ""
