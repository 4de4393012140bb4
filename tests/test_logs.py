"""What watches the logs of all tests sees what it is to see."""

import logging
import shutil
from pathlib import Path

import pytest

from log_watch import Watch, found_in


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("contact +966501234567 was added", "phone number"),
        ("to=966501234567", "phone number"),
        ('{"wa_id": "14155550123"}', "phone number"),
        ("key wq_9f2c01ab77_AbCdEfGhIjKlMnOpQrStUv", "API key"),
        ("Authorization: Bearer abcdefghijklmnop", "token"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "token"),
        ("token EAAJZCabcdefghijklmnop", "token"),
        ("$argon2id$v=19$m=19456", "password"),
        ("GET /links/q0Vd2mJkQ4b8d7Y1xLw3Zr", "one-time link"),
    ],
)
def test_what_may_not_be_logged_is_found(line: str, kind: str) -> None:
    assert found_in(line) == [kind]


def test_ids_times_and_counts_are_no_numbers_of_people() -> None:
    for line in (
        "2026-11-23 13:20:30,123 INFO core.runs campaign=7 took=1764000000123456 ns",
        "request=9f2c01ab77d0e1f2 status=200 bytes=104857600",
        "job 0192f3c4-5d6e-7f80-9123-456789012345 pid=4021567",
    ):
        assert found_in(line) == []


def test_records_with_traces_and_files_of_processes_are_looked_at(tmp_path: Path) -> None:
    watch = Watch(apart="nobody")
    with watch.records():
        try:
            raise ValueError("no contact +966501234567")
        except ValueError:
            logging.getLogger("test.example").exception("it_failed id=%s", 7)
        logging.getLogger("test.example").error("it_failed key=%s", "wq_9f2c01ab77_AbCdEfGhIjKlMnOpQrStUv")
        logging.getLogger("test.example").error("all_well id=%s", 7)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "api.log").write_text("fine\nto=966501234567\n")
    watch.files(tmp_path)
    shutil.rmtree(tmp_path / "logs")
    assert (len(watch.offences), watch.lines) == (3, 5)
    assert watch.offences[-1] == "logs/api.log:2: a phone number"
    assert "966" not in watch.verdict()
