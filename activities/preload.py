"""What every child process needs, loaded once in the fork server: they share it, and begin within milliseconds."""

import encodings.idna  # noqa: F401
import gc

import deltalake  # noqa: F401
import duckdb  # noqa: F401
import psutil  # noqa: F401
import psycopg  # noqa: F401
import pyarrow.dataset
import pyarrow.parquet  # noqa: F401

import activities.cdc.capturing
import activities.cdc.folding
import activities.child
import activities.reading  # noqa: F401
from lake import s3

s3.prepare()
# What is loaded by now stays. Collections that looked at it would write to each object, and a child would have its own.
gc.collect()
gc.freeze()
