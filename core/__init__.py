"""The domain of WaQtor: plain Python, SQLAlchemy and pydantic; no framework, no network."""
