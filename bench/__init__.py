"""Measurements, and the attempt to break the promise. Nothing here is shipped."""

import os

# Processes started from here keep the byte code they compile, as on any ordinary machine: where this is set,
# each flow run compiles our modules anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
