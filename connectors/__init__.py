"""The only code that touches the outside world; each file fulfils one port of `core.ports`."""
