"""Tables that belong to a run as a whole: `<run>/NAME.parquet` beside its trials."""

import io

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from study.evidence.arrow_tables import Rows, schema_table
from study.evidence.schema import OF_RUN
from study.evidence.store import Store
from study.evidence.trial_files import UnusableFileError
from study.spec.errors import StorageError


def write_run_table(store: Store, name: str, rows: Rows) -> None:
    """Writes or replaces a table of a run.

    Args:
        store: Store of the run.
        name: Name of the table in `schema.OF_RUN` or `schema.HEATMAPS`.
        rows: Its rows.

    Raises:
        TypeError: A column is not as the schema says.
        StorageError: The run cannot be written to.
    """
    out = io.BytesIO()
    pq.write_table(schema_table(name, rows), out, compression="zstd")
    try:
        store.write_bytes(f"{name}.parquet", out.getvalue())
    except (OSError, pa.ArrowException) as error:
        where = f"{store.where}/{name}.parquet"
        raise StorageError(f"`{where}`: must be a place to write to ({error}).") from None


def read_run_table(store: Store, name: str, schema: pa.Schema) -> pa.Table | None:
    """A table of a run; None where the run has no such file.

    Raises:
        UnusableFileError: The file is damaged or has other columns; the message begins with its name.
    """
    try:
        content = store.read_bytes(f"{name}.parquet")
    except StorageError:
        return None
    try:
        table = pq.read_table(io.BytesIO(content))
    except (OSError, pa.ArrowException) as error:
        raise UnusableFileError(f"{name}.parquet cannot be read ({error})") from None
    if not table.schema.equals(schema):
        raise UnusableFileError(f"{name}.parquet has other columns than the schema")
    return table


def table_of_run(store: Store, name: str) -> pd.DataFrame:
    """A table of `schema.OF_RUN`.

    It is empty where the run has no such file, or a damaged one, which `store.problems` then names.
    """
    schema = OF_RUN[name]
    try:
        found = read_run_table(store, name, schema)
    except UnusableFileError as problem:
        found = None
        if (line := f"`{store.where}`: {problem}; skipped.") not in store.problems:
            store.problems.append(line)
    frame: pd.DataFrame = (schema.empty_table() if found is None else found).to_pandas()
    return frame
