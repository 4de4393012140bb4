"""Python's garbage collector, told once per process what it need not look at."""

import gc


def leave_alone_what_is_loaded() -> None:
    """To be called when a process has started. The modules and tables of Prefect, FastAPI and SQLAlchemy stay as
    long as it lives; walking over them again and again was a fifth of what sending a message costs the flow run
    (docs/measurements.md)."""
    if gc.get_freeze_count():
        return
    gc.collect()
    gc.freeze()
