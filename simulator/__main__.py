"""Command line: `python -m simulator`."""

import argparse
import logging
from pathlib import Path

from simulator.config import Config
from simulator.profiles import PROFILES
from simulator.server import run


def _arguments() -> argparse.Namespace:
    about = "A local WhatsApp Cloud API with contacts and faults."
    parser = argparse.ArgumentParser(prog="simulator", description=about)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--profile", choices=sorted(PROFILES), default="demo")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same contacts")
    parser.add_argument("--state", type=Path, help="SQLite file of ledger and settings; none: forgotten at the end")
    parser.add_argument("--speed", type=float, default=1.0, help="how much faster than real the clock runs")
    parser.add_argument("--callback-url", default="", help="where the default number's webhooks go")
    parser.add_argument("--verify-token", default="")
    return parser.parse_args()


def main() -> None:
    """Start with the arguments of the command line."""
    said = _arguments()
    if said.speed <= 0:
        raise SystemExit("--speed must be above 0")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    run(
        Config(
            host=said.host,
            port=said.port,
            profile=PROFILES[said.profile],
            seed=said.seed,
            state=said.state,
            speed=said.speed,
            callback_url=said.callback_url,
            verify_token=said.verify_token,
        )
    )


main()
