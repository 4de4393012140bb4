"""The Prefect process: long work, as runs an operator can see and stop."""
