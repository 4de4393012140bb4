"""Which passwords are taken, and that a wrong one is wrong."""

import pytest

from core import passwords
from core.errors import Invalid
from core.passwords import Passwords


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "a" * 9,
        "x" * 201,
        "Password123",
        "qwertyuiop",
        "aaaaaaaaaaaa",
        "abababababab",
        "noura@example.com",
        "NouraNoura1",
        "noura2026!",
        "ｐａｓｓｗｏｒｄ１２３",
    ],
)
def test_what_would_be_guessed_is_refused(password: str) -> None:
    with pytest.raises(Invalid) as refused:
        passwords.check(password, email="noura@example.com", name="NouraNoura")
    assert refused.value.field == "password"


@pytest.mark.parametrize("password", ["olive kettle marble", "قمر زيتون مفتاح ٧", "9f!kq0-pzzw3", "noura sails north"])
def test_what_would_not_is_taken(password: str) -> None:
    passwords.check(password, email="noura@example.com", name="Noura")


async def test_only_the_right_one_fits_and_nobody_has_none() -> None:
    work = Passwords()
    kept = await work.hash("olive kettle marble")
    assert kept.startswith("$argon2id$")
    assert "olive" not in kept
    assert await work.fits("olive kettle marble", kept)
    assert not await work.fits("olive kettle marbl", kept)
    assert not await work.fits("nobody's", None)
    assert not await work.fits("olive kettle marble", "no hash at all")


async def test_the_same_letters_of_another_keyboard_are_the_same_password() -> None:
    work = Passwords()
    assert await work.fits("caf\u00e9 kettle marble", await work.hash("cafe\u0301 kettle marble"))
