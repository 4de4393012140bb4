"""All measurements with small defaults: `python -m bench`. Each module alone does the full measure."""

import sys
from pathlib import Path

from bench import campaign, chaos, plan


def main() -> int:
    results = Path("bench/results")
    failed = plan.main(["--count", "200000", "--out", str(results / "small-plan.md")])
    failed |= campaign.main(["--count", "4000", "--rounds", "1", "--out", str(results / "small-campaign.md")])
    failed |= chaos.main(["--seeds", "8", "--lanes", "4", "--out", str(results / "small-chaos.jsonl")])
    return failed


if __name__ == "__main__":
    sys.exit(main())
