"""What may stand in a file for `waqtor apply`; every mistake with its place."""

from pathlib import Path

import pytest

from cli.definitions import CampaignDefinition, TemplateDefinition, written
from cli.documents import load
from core.errors import Invalid

CAMPAIGN = "kind: campaign\nname: c\nsender: s\ntemplate: t\naudience: {all: true}\n"


def loaded(folder: Path, text: str) -> list[object]:
    (folder / "a.yaml").write_text(text, encoding="utf-8")
    return [one.definition for one in load([str(folder)])]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: segment\nname: a\nfilter: '='\n", "document 1: (segment 'a') filter: "),
        ("---\n---\nkind: segment\nname: a\n", "document 2: (segment 'a') filter: is needed"),
        ("kind: segment\nname: a\nfilter: has x\nfiltre: b\n", "filtre: there is no such key"),
        ("kind: campain\n", "kind: one of template, segment, campaign"),
        ("kind: [segment]\n", "kind: one of"),
        ("- kind\n", "a document has keys"),
        ("kind: segment\nkind: template\n", "line 2: this is not YAML: 'kind' stands here twice"),
        ("a: [\n", "this is not YAML"),
        ("a: !!python/object:os.system x\n", "could not determine a constructor"),
        ("a: !!timestamp x\n", "could not determine a constructor"),
        ("[" * 5000, "nested too deep"),
        ("kind: segment\nname: a\nfilter: has x\n---\nkind: segment\nname: a\nfilter: has y\n", "document 1 too"),
        (CAMPAIGN + "launch: true\n", "a file launches nothing"),
        (CAMPAIGN.replace("{all: true}", "{all: true, tag: x}"), "audience: is one of"),
        (CAMPAIGN.replace("{all: true}", "{}"), "audience: is one of"),
        (CAMPAIGN.replace("{all: true}", "{filter: x}"), "audience.filter: "),
        (CAMPAIGN + "quiet_hours: {from: 9pm, to: 09:00}\n", "quiet_hours.from: "),
        ("kind: template\nname: t\nbody: a\nheader: {type: image}\n", "header: a header has a media_id or a link"),
        ("kind: template\nname: t\nbody: a\nvariants: {../x: {body: b}}\n", "variants.../x: "),
        ("kind: template\nname: t\nbody: a\ndefaults: {a: true}\n", "defaults.a: "),
        (b"kind: \xff".decode("latin-1"), "kind: one of"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(Invalid) as refused:
        loaded(tmp_path, text)
    assert says in refused.value.message
    assert "a.yaml" in refused.value.message


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as refused:
        loaded(tmp_path, "kind: segment\n---\nkind: template\nx: 1\n")
    assert refused.value.message.count("document") == 5


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="no YAML file"):
        load([str(tmp_path)])
    with pytest.raises(Invalid, match="cannot be read"):
        load([str(tmp_path / "a.yaml")])
    (tmp_path / "a.yaml").write_bytes(b" " * (4 * 1024 * 1024 + 1))
    with pytest.raises(Invalid, match="larger than"):
        load([str(tmp_path)])


def test_yaml_is_read_as_people_mean_it(tmp_path: Path) -> None:
    (campaign,) = loaded(tmp_path, CAMPAIGN + "quiet_hours: {from: 21:00, to: 09:00}\n")
    assert isinstance(campaign, CampaignDefinition)
    assert campaign.quiet_hours is not None
    assert campaign.quiet_hours.start == "21:00"
    said = "kind: template\nname: 10\nbody: |\n  a\n  b\ndefaults: {price: 1.50, day: 2026-01-01}\n"
    said += "variants: {no: {body: yes}}\n"
    (template,) = loaded(tmp_path, said)
    assert isinstance(template, TemplateDefinition)
    assert (template.name, template.body, template.defaults) == ("10", "a\nb", {"day": "2026-01-01", "price": "1.50"})
    assert template.variants["no"].body == "yes"
    assert loaded(tmp_path, written(template)) == [template]


def test_definitions_come_before_what_uses_them(tmp_path: Path) -> None:
    segment, template = "kind: segment\nname: s\nfilter: has x\n", "kind: template\nname: t\nbody: b\n"
    found = loaded(tmp_path, "---\n".join((CAMPAIGN, segment, template)))
    assert [type(one).__name__ for one in found] == ["TemplateDefinition", "SegmentDefinition", "CampaignDefinition"]
