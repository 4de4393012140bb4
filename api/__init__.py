"""The FastAPI process: REST, and what WhatsApp posts to us."""
