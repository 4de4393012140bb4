"""People on the dashboard: found, added, opted out, grouped, and taken from a file."""

import scenes
from stage import Stage, htmls, said


def test_one_is_found_opened_and_opted_out_with_proof(on_stage: Stage) -> None:
    assert "Nobody is here yet" in said(on_stage.page("contacts"))
    on_stage.do(scenes.people(on_stage.server.platform, 30, tags=["vip"]))
    page = on_stage.page("contacts")
    page.text_input(key="contacts-name").set_value('Person 2"').run()
    assert "Nobody fits" in said(page)
    page.selectbox(key="contacts-tag").set_value("vip")
    page.text_input(key="contacts-name").set_value("Person 2").run()
    assert "11 people now" in said(page)
    page.text_input(key="contacts-name").set_value("059 999 9999").run()
    assert "Nobody has this number" in said(page)
    page.text_input(key="contacts-name").set_value("\u2066050 000 0007\u2069").run()
    assert [one for one in htmls(page) if "+9665" in one and "+966500000007" not in one] == []
    assert "+966500000007" in said(page)
    page.text_input(key="contact-add-phone").set_value("no number")
    page.button(key="contact-add-go").click().run()
    assert page.error

    (one,) = on_stage.signed_in().contacts.list.page(None, limit=1).data
    page = on_stage.page("contacts", id=one.id)
    page.multiselect(key=f"contact-{one.id}-tags").set_value(["vip", "الرياض"])
    page.button(key=f"contact-{one.id}-save").click().run()
    assert on_stage.signed_in().contacts.get(one.id).tags == ["vip", "الرياض"]
    page.text_area(key=f"contact-{one.id}-out-wording").set_value("Stop please")
    page.button(key=f"contact-{one.id}-out-ask").click().run()
    assert "1 person will never be written to again" in said(page)
    assert not on_stage.signed_in().contacts.get(one.id).opted_out
    page.button(key=f"contact-{one.id}-out-yes").click().run()
    told = said(page)
    assert "This person said no" in told
    assert "Stop please" in told


def test_a_viewer_sees_no_number_whole_and_changes_nothing(on_stage: Stage) -> None:
    (one,) = on_stage.signed_in().contacts.list.page(None, limit=1).data
    page = on_stage.page("contacts", role="viewer", id=one.id)
    assert one.phone not in said(page)
    assert not page.text_area
    page = on_stage.page("contacts", role="viewer")
    page.text_input(key="contacts-name").set_value(one.phone).run()
    assert "Numbers are hidden from you" in said(page)
    assert not on_stage.page("segments", role="viewer").text_area


def test_a_segment_says_how_many_before_it_is_kept_and_after(on_stage: Stage) -> None:
    page = on_stage.page("segments", language="ar")
    page.text_area(key="segment-new-filter").set_value('tag "vip"').run()
    assert page.error, "a mistake in a filter is told"
    page.text_area(key="segment-new-filter").set_value('tag = "vip"').run()
    assert "30 شخصًا الآن" in said(page)
    page.text_input(key="segment-new-name").set_value("VIPs")
    page.button(key="segment-new-save").click().run()
    (made,) = on_stage.signed_in().segments.list()
    assert page.text_area(key="segment-new-filter").value == ""
    page.button(key=f"segment-{made.id}-change").click().run()
    page.text_area(key=f"segment-{made.id}-filter").set_value("tag =").run()
    assert page.error
    page.text_area(key=f"segment-{made.id}-filter").set_value('tag = "vip" and name = "Person 3"').run()
    assert "شخص واحد الآن" in said(page)
    page.text_area(key=f"segment-{made.id}-filter").set_value("has tag").run()
    page.text_input(key=f"segment-{made.id}-name").set_value("Tagged").run()
    page.button(key=f"segment-{made.id}-save").click().run()
    changed = on_stage.signed_in().segments.get(made.id)
    assert (changed.name, changed.filter) == ("Tagged", "has tag")
    page.button(key=f"segment-{made.id}-delete-ask").click().run()
    assert "30 شخصًا" in page.error[0].value
    page.button(key=f"segment-{made.id}-delete-yes").click().run()
    assert on_stage.signed_in().segments.list.page(None).data == []


_FILE = "Mobil;Name;Gruppe\n0501234567;نورة;a\n12;Bad;a\n0507654321;Lina;b\n".encode()


def test_a_file_is_mapped_looked_at_and_taken_with_evidence(on_stage: Stage) -> None:
    page = on_stage.page("import")
    page.file_uploader(key="import-file").upload("list.csv", _FILE, "text/csv").run()
    assert page.error, "no column is called as numbers are"
    page.selectbox(key="import-country").set_value("SA")
    page.text_input(key="import-phone").set_value("Mobil").run()
    page.selectbox(key="import-column-Gruppe").set_value("tags").run()
    page.multiselect(key="import-tags").set_value(["autumn"]).run()
    told = said(page)
    assert "+966501234567" in told
    assert "2 of the first rows are good" in told
    assert page.button(key="import-go").disabled
    page.radio(key="import-agreed").set_value("yes").run()
    assert page.button(key="import-go").disabled, "evidence is words"
    page.text_area(key="import-wording").set_value("Yes, offers please").run()
    page.button(key="import-go").click().run()
    (taken,) = on_stage.signed_in().contacts.imports.page(None).data
    result = on_stage.page("import", id=on_stage.signed_in().contacts.wait_import(taken.id).id)
    assert [one.value for one in result.metric] == ["2", "0", "1"]
    assert "1 row cannot be taken" in [one.value for one in result.subheader]
    (lina,) = on_stage.signed_in().contacts.list(filter='name = "Lina"')
    assert lina.tags == ["autumn", "b"]
    written = on_stage.page("campaign-new", tag="autumn")
    assert written.selectbox(key="wqd-tag").value == "autumn"
    assert "Yes, offers please" in said(on_stage.page("contacts", id=lina.id))
