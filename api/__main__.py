"""`python -m api`: the API process alone."""

import sys

from api.app import serve
from core.settings import Settings

sys.exit(serve(Settings()))
