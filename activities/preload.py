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
import activities.reading
import activities.webhooks.applying  # noqa: F401
from lake import s3

s3.prepare()
# What is loaded by now stays. Collections that looked at it would write to each object, and a child would have its own.
gc.collect()
gc.freeze()
# A reader makes objects by the thousands and lets all of them go: it is not worth looking that often.
gc.set_threshold(20_000, 20, 20)
