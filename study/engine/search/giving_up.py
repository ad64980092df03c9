"""Why a study ends before its time although no trial of it has failed."""

from study.spec.errors import ClusterError, StorageError


def node_fault(key: str, attempts: int, message: str) -> StorageError:
    """A machine that cannot do its part.

    Args:
        key: Key of the trial.
        attempts: How often it was tried.
        message: Which machine, and what was wrong there.
    """
    found = message.rstrip(".")
    return StorageError(
        f"`{key}`: could not be run in {attempts} attempts, the last on {found}. Finished trials are kept; "
        "put that machine right or take it out of the cluster, then give the same command again."
    )


def no_start(key: str, attempts: int, message: str) -> ClusterError:
    """Workers that do not start; arguments as above, the message is Ray's."""
    found = message.rstrip(".")
    return ClusterError(
        f"`resources`: the workers of `{key}` must start, which they did not in {attempts} attempts, nor "
        f"those of any other trial. Ray says: {found}. Finished trials are kept; `ray status` shows who "
        "holds the machines. Ask for fewer `workers` or less for each, or give the same command again when "
        "there is room."
    )
