"""The gateway beside other WebSocket servers. `python -m bench.ws --help`."""
