"""One's own account, and the first page one sees."""

import base64

import pyotp
import pytest

import accounts
import scenes
from stage import Stage, said
from waqtor import Client, Error

_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def test_name_and_picture(on_stage: Stage) -> None:
    page = on_stage.page("profile")
    page.text_input(key="profile-name").set_value("Noura Q")
    page.selectbox(key="profile-language").set_value("ar")
    page.button(key="profile-save").click().run()
    assert page.title[0].value == "حسابك"
    me = on_stage.signed_in().auth.me()
    assert (me.name, me.language) == ("Noura Q", "ar")
    page = on_stage.page("profile")
    page.file_uploader(key="profile-picture").upload("me.png", _PNG, "image/png")
    page.button(key="profile-picture-save").click().run()
    assert "data:image/png;base64," in said(page)
    page.button(key="profile-picture-drop").click().run()
    assert on_stage.signed_in().auth.avatar().picture is None


def test_a_key_is_shown_once_and_revoked_only_after_a_question(on_stage: Stage) -> None:
    page = on_stage.page("profile")
    page.text_input(key="key-name").set_value("Shop")
    page.button(key="key-go").click().run()
    (key,) = [one.value for one in page.code if one.value.startswith("wq_")]
    with Client(on_stage.url, key) as shop:
        assert shop.contacts.list.page(None).data == []
        page.button(key="key-copied").click().run()
        assert key not in said(page)
        (made,) = [one for one in on_stage.signed_in().api_keys.list() if one.name == "Shop"]
        page.button(key=f"key-{made.id}-revoke-ask").click().run()
        assert shop.contacts.list.page(None).data == []
        page.button(key=f"key-{made.id}-revoke-yes").click().run()
        with pytest.raises(Error):
            shop.contacts.list.page(None)


def test_a_wrong_password_stays_in_its_form_and_other_devices_are_ended(on_stage: Stage) -> None:
    on_stage.signed_in("user")
    with Client(on_stage.url, "") as nobody:
        nobody.auth.sign_in_browser("user@example.com", accounts.PASSWORD)
    page = on_stage.page("profile", role="user")
    page.text_input(key="password-now").set_value("wrong")
    page.text_input(key="password-new").set_value("another kettle of fish 9")
    page.text_input(key="password-again").set_value("another kettle of fish 9")
    page.button(key="password-save").click().run()
    assert page.error
    assert not [one for one in page.button if one.key == "key-go"], "who may not manage keys sees none"
    mine = on_stage.signed_in("user").auth.me().sign_in_id
    (other,) = [one.id for one in on_stage.signed_in("user").auth.sign_ins() if one.id != mine]
    page.button(key=f"device-{other}").click().run()
    assert [one.id for one in on_stage.signed_in("user").auth.sign_ins()] == [mine]


def test_the_second_factor_is_set_up_and_its_codes_shown_once(on_stage: Stage) -> None:
    page = on_stage.page("profile", role="viewer")
    page.text_input(key="totp-password").set_value(accounts.PASSWORD)
    page.button(key="totp-begin").click().run()
    assert "data:image/png;base64," in said(page), "the key as a QR code"
    secret = page.code[0].value.replace(" ", "")
    page.text_input(key="totp-code").set_value(pyotp.TOTP(secret).now())
    page.button(key="totp-confirm-go").click().run()
    assert on_stage.signed_in("viewer").auth.me().has_second_factor
    assert len(page.code[0].value.split("\n")) == 10
    page.button(key="totp-kept").click().run()
    page = on_stage.page("profile", role="viewer")
    assert "10 recovery codes are left" in said(page)


def test_the_overview_leads_to_the_first_campaign_and_then_counts(on_stage: Stage) -> None:
    page = on_stage.page("overview")
    assert "Three steps to the first campaign" in [one.value for one in page.subheader]
    assert "No number is connected" in said(page)

    async def send() -> None:
        platform = on_stage.server.platform
        await scenes.people(platform, 3)
        campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
        await scenes.launched(platform, campaign.id)

    on_stage.do(send())
    page = on_stage.page("overview", language="ar")
    assert "حملة واحدة جارية" in [one.value for one in page.subheader]
    (campaign,) = on_stage.signed_in().campaigns.list()
    on_stage.signed_in().campaigns.cancel(campaign.id)
    told = said(on_stage.page("overview"))
    assert "All people of the campaigns that were under way today" in told, "also of one that is cancelled"
    assert '<span class="num">3</span>' in told
