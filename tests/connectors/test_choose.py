"""One pool for all senders of a process, and nothing imported before it is needed."""

import subprocess
import sys

import pytest

from connectors.choose import CloudConnectors, jobs
from connectors.jobs import PrefectJobs
from core.ports import Retryable
from core.settings import Settings


async def test_senders_share_one_pool_and_closing_one_leaves_the_other(sender, outgoing):
    connectors = CloudConnectors(Settings(cloud_api_url="http://127.0.0.1:9/v23.0"))
    first, second = await connectors.open(sender), await connectors.open(sender)
    await first.close()
    with pytest.raises(Retryable, match="ClientConnectorError"):
        await second.send(outgoing())
    await connectors.close()
    reopened = await connectors.open(sender)
    with pytest.raises(Retryable, match="ClientConnectorError"):
        await reopened.send(outgoing())
    await connectors.close()


def test_jobs_are_prefects():
    assert isinstance(jobs(Settings(prefect_auth="user:secret")), PrefectJobs)


def test_choosing_costs_no_import():
    code = "import sys, connectors.choose; print('aiohttp' in sys.modules, 'tenacity' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "False False\n"
