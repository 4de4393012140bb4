"""Python's garbage collector, told once per process what it need not look at."""

import gc
from functools import cache


@cache
def leave_alone_what_is_loaded() -> None:
    """To be called when a process has started; it acts once. The modules and tables of Prefect, FastAPI and
    SQLAlchemy stay as long as it lives; walking over them again and again was a fifth of what sending a message costs
    the flow run (docs/measurements.md)."""
    gc.collect()
    gc.freeze()
