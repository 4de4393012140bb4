"""The `waqtor` command."""
