"""What the parts of one installation show each other."""

from pathlib import Path

import pytest

from core import keys, service_credentials
from core.errors import MasterKeyWrong
from core.settings import Settings


def test_all_that_have_the_master_key_agree_and_another_installation_does_not(tmp_path: Path) -> None:
    here = Settings(data_dir=tmp_path / "here")
    keys.init(here.key_file)
    on_a_worker = Settings(data_dir=tmp_path / "worker", master_key_file=here.key_file)
    elsewhere = Settings(data_dir=tmp_path / "elsewhere")
    keys.init(elsewhere.key_file)
    credential = service_credentials.for_prefect(here)
    assert credential == service_credentials.for_prefect(on_a_worker)
    assert credential != service_credentials.for_prefect(elsewhere)
    keys.with_new_encryption_key(here.key_file)  # rotated: running processes are not locked out
    assert credential == service_credentials.for_prefect(here)


def test_what_was_set_counts(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, prefect_auth="user:password")
    keys.init(settings.key_file)
    assert service_credentials.for_prefect(settings) == "user:password"


def test_no_key_yet_and_a_broken_one_are_two_things(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert service_credentials.for_prefect(settings) is None
    settings.key_file.write_text("{}")
    with pytest.raises(MasterKeyWrong):
        service_credentials.for_prefect(settings)
