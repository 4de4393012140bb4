"""Measurements, and the attempt to break the promise. Nothing here is shipped."""
