"""`python -m api.openapi` writes `api/openapi.json`: the API as it is, for reviews and for other languages."""

import json
from pathlib import Path

from api.app import create_app
from core.settings import Settings

PATH = Path(__file__).with_name("openapi.json")


def generated() -> str:
    return json.dumps(create_app(Settings()).openapi(), ensure_ascii=False, indent=2) + "\n"


if __name__ == "__main__":
    PATH.write_text(generated())
