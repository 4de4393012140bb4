"""Files of many programs: every row is read or told about, and what is no file of contacts is refused."""

import io
import json
import tempfile
import zipfile
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openpyxl import Workbook

from core.contacts import NewContact
from core.errors import Invalid
from core.import_columns import Columns, Rejected
from core.import_files import count, format_of, opened

ONE = NewContact(phone="+966501234567", name="سارة")
Read = NewContact | Rejected


def _read(
    body: str | bytes,
    *,
    format: str = "csv",
    mapping: Mapping[str, str] | None = None,
    kinds: Mapping[str, str] | None = None,
) -> list[Read]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(body.encode() if isinstance(body, str) else body)
        with opened(path, format) as table:
            columns = Columns(table.heading, mapping or {}, country="SA", kinds=kinds or {})
            return [columns.read(row) for row in table.rows]


def _json(*people: object) -> str:
    return json.dumps(people, ensure_ascii=False)


def _xlsx(*rows: list[Any]) -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


# ---- CSV ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "phone,name\n+966501234567,سارة\n",
        "\ufeffphone,name\n+966501234567,سارة\n",
        "phone;name\r\n+966501234567;سارة\r\n",
        "phone\tname\n+966501234567\tسارة",
        "name,phone\nسارة,0501234567\n",
        "phone,name\n٠٥٠١٢٣٤٥٦٧,سارة\n",
        "phone,name\n+٩٦٦ ٥٠ ١٢٣ ٤٥٦٧,سارة\n",
        "phone,name\n\n+966 50 123 4567, سارة \n\n",
        'phone,name\n"+966-50-123-4567","سارة"\n',
        " phone , name \n00966501234567,سارة\n",
    ],
)
def test_files_of_many_programs_are_understood(body: str) -> None:
    assert _read(body) == [ONE]


def test_every_column_finds_its_place() -> None:
    assert _read("phone,name,language,tags,opted_out,city,\n+966501234567,Sara,ar,vip; new ;,نعم,Riyadh,ignored\n") == [
        NewContact(
            phone="+966501234567",
            name="Sara",
            language="ar",
            tags=("vip", "new"),
            attributes={"city": "Riyadh"},
            opted_out=True,
        )
    ]


def test_a_value_in_quotes_may_hold_lines_and_delimiters() -> None:
    (row,) = _read('phone,name,note\n+966501234567,"Al, Sara","one\r\ntwo;three"\n')
    assert isinstance(row, NewContact)
    assert (row.name, row.attributes) == ("Al, Sara", {"note": "one\r\ntwo;three"})


@pytest.mark.parametrize(
    ("row", "field", "says"),
    [
        ("+966501234567", "row", "1 values for 3 columns"),
        ("+966501234567,a,,d", "row", "4 values for 3 columns"),
        ("hello,Sara,", "phone", "not a phone number"),
        (",Sara,", "phone", "not a phone number"),
        ("+9665012345,Sara,", "phone", "No such number"),
        ("+966501234567," + "x" * 1_001 + ",", "name", "Longer than 1000"),
        ("+966501234567,Sa\0ra,", "row", "null character"),
        ("+966501234567,Sara,maybe", "opted_out", "neither yes nor no"),
    ],
)
def test_a_row_that_cannot_be_taken_says_why(row: str, field: str, says: str) -> None:
    good = "+966501234567,سارة,"
    rows = _read(f"phone,name,opted_out\n{good}\n{row}\n{good}\n")
    assert rows[0] == rows[2] == ONE
    assert isinstance(rows[1], Rejected)
    assert (rows[1].row, rows[1].field) == (2, field)
    assert says in rows[1].message


@pytest.mark.parametrize("said", ["yes", "YES", "1", "true", "y", "نعم"])
def test_an_opt_out_is_read_in_any_writing(said: str) -> None:
    (row,) = _read(f"phone,opted_out\n+966501234567,{said}\n")
    assert isinstance(row, NewContact)
    assert row.opted_out


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "No column is 'phone'"),
        (b"\n\n", "No column is 'phone'"),
        (b"name,city\nSara,Riyadh\n", "No column is 'phone'"),
        (b"phone,name,name\n", "twice"),
        (b"phone" + b"," * 500 + b"\n", "More than 500 columns"),
        (b"phone,na\0me\n", "null character"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe", "UTF-8"),
        (b"PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00!\x00\xff\xa4", "UTF-8"),
        ("phone,name\n+966501234567,سارة\n".encode("utf-16"), "UTF-8"),
        ("phone,name\n+966501234567,سارة\n".encode("cp1256"), "UTF-8"),
        (b"phone,name\n+966501234567," + b"x" * 200_000 + b"\n", "not CSV"),
        (b"x" * 300_000, "not CSV"),
    ],
)
def test_a_file_that_is_none_is_refused(body: bytes, says: str) -> None:
    with pytest.raises(Invalid, match=says) as refused:
        _read(body)
    assert refused.value.field == "file"


@given(
    st.one_of(
        st.binary(max_size=400),
        st.text(max_size=400).map(lambda text: text.encode("utf-8", "ignore")),
        st.text(alphabet='phone,;\t"\r\n+96650123٠١٢\0\ufeff', max_size=200).map(
            lambda text: b"phone," + text.encode()
        ),
    )
)
@example(b'phone,"\n')
@example(b'phone\n"\n\n\n')
@example(b"phone\n+" + b"9" * 300)
def test_whatever_the_bytes_the_answer_is_rows_or_invalid(body: bytes) -> None:
    try:
        rows = _read(body)
    except Invalid:
        return
    assert all(isinstance(row, Read) for row in rows)


# ---- JSON ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        _json({"phone": "+966501234567", "name": "سارة"}),
        '\ufeff[\n  {"phone": 966501234567, "name": " \\u0633\\u0627\\u0631\\u0629 "}\n]\n',
        '{"phone": "0501234567", "name": "سارة"}\n',
        '{"phone": 966501234567.0, "name": "سارة", "language": null, "tags": []}',
        '[{"الجوال": "٠٥٠١٢٣٤٥٦٧", "الاسم": "سارة"}]',
    ],
)
def test_json_is_an_array_or_one_object_per_line(body: str) -> None:
    assert _read(body, format="json") == [ONE]


def test_values_of_json_become_text() -> None:
    (row,) = _read(
        _json(
            {
                "phone": "+966501234567",
                "tags": ["vip", "جديد"],
                "opted_out": True,
                "age": 41,
                "rate": 0.1,
                "attributes": {"city": "الرياض", "since": "2020-01-31"},
            }
        ),
        format="json",
    )
    assert isinstance(row, NewContact)
    assert (row.tags, row.opted_out) == (("vip", "جديد"), True)
    assert row.attributes == {"age": "41", "rate": "0.1", "city": "الرياض", "since": "2020-01-31"}


def test_a_json_file_is_read_across_the_pieces_it_comes_in() -> None:
    people = [{"phone": f"+9665{n:08d}", "note": "س" * (n % 700)} for n in range(900)]
    for body in (_json(*people), "\n".join(json.dumps(one) for one in people)):
        rows = _read(body, format="json")
        assert [row.phone for row in rows if isinstance(row, NewContact)] == [one["phone"] for one in people]


def test_an_object_that_cannot_be_taken_says_why() -> None:
    good = {"phone": "+966501234567", "name": "سارة"}
    bad: list[Any] = [7, "text", None, [good], {"phone": {"a": 1}}, {"name": "nobody"}]
    bad += [{"phone": "+966501234567", "x": "\ud800"}, {"phone": "+966501234567", "tags": [["a"]]}]
    rows = _read(json.dumps([good, *bad, good]), format="json")
    assert rows[0] == rows[-1] == ONE
    told = rows[1:-1]
    assert all(isinstance(row, Rejected) for row in told)
    assert [row.row for row in told if isinstance(row, Rejected)] == list(range(2, 10))


def test_an_object_of_very_many_values_is_no_row() -> None:
    good = {"phone": "+966501234567", "name": "سارة"}
    rows = _read(_json(*[good] * 1_000, good | {str(n): n for n in range(500)}, good), format="json")
    assert rows[999] == rows[1_001] == ONE
    assert rows[1_000] == Rejected(1_001, "row", "More than 500 values.")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "No column is 'phone'"),
        (b"[]", "No column is 'phone'"),
        (b'[{"name": "Sara"}]', "No column is 'phone'"),
        (b'[{"phone": "+966501234567"}', "the end is missing"),
        (b'[{"phone": "+966501234567"},]', "comma before the end"),
        (b'[{"phone": "+966501234567"}] x', "something follows"),
        (b'[{"phone": "+966501234567"} {"phone": "1"}]', "no comma"),
        (b'{"phone": "+9665', "not JSON"),
        (b'{"phone": "+966501234567"}, {"phone": "1"}', "not JSON"),
        (b"phone,name\n1,2\n", "not JSON"),
        (b'{"phone": "' + b"x" * 2_000_000, "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"phone": ' + b"9" * 10_000 + b"}", "not JSON"),
        (b'{"phone": "\xff\xfe"}', "UTF-8"),
    ],
)
def test_a_file_that_is_no_json_is_refused(body: bytes, says: str) -> None:
    with pytest.raises(Invalid, match=says) as refused:
        _read(body, format="json")
    assert refused.value.field == "file"


@given(
    st.one_of(
        st.binary(max_size=300),
        st.text(alphabet='[]{},:" \n\\u0phone1e-+.', max_size=120).map(lambda text: text.encode()),
    )
)
@example(b'[{"phone": 1},')
def test_whatever_the_bytes_json_is_rows_or_invalid(body: bytes) -> None:
    try:
        rows = _read(body, format="json")
    except Invalid:
        return
    assert all(isinstance(row, NewContact | Rejected) for row in rows)


# ---- XLSX ---------------------------------------------------------------------------------------------------


def test_a_workbook_is_read_with_its_numbers_and_dates() -> None:
    seen = datetime(2026, 1, 2, 3, 4)  # noqa: DTZ001  a cell knows no zone
    rows = _read(
        _xlsx(
            ["الجوال", "الاسم", "المجموعات", "opted_out", "born", "seen", "points", "empty", None],
            [966501234567, " سارة ", "vip;جديد", False, date(1990, 1, 31), seen, 5.0, None],
            [None, None],
            [501234567.0, "Omar", None, True, None, None, 0.25],
            ["٠٥٠١٢٣٤٥٦٩", "#N/A"],
            ["+966501234567", "x", "", "", "", "", "", "", "beyond", "more"],
        ),
        format="xlsx",
    )
    assert rows == [
        NewContact(
            phone="+966501234567",
            name="سارة",
            tags=("vip", "جديد"),
            attributes={"born": "1990-01-31", "seen": "2026-01-02 03:04:00", "points": "5"},
        ),
        NewContact(phone="+966501234567", name="Omar", opted_out=True, attributes={"points": "0.25"}),
        NewContact(phone="+966501234569"),
        Rejected(5, "row", "10 values for 8 columns."),
    ]


def _with_part(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(_xlsx(["phone"], ["+966501234567"]))) as old, zipfile.ZipFile(out, "w") as new:
        for part in old.namelist():
            new.writestr(part, content if part == name else old.read(part))
    return out.getvalue()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not an Excel file"),
        (b"phone,name\n", "not an Excel file"),
        (b"PK\x03\x04 broken", "not an Excel file"),
        (_xlsx(), "No column is 'phone'"),
        (_xlsx(["name"], ["Sara"]), "No column is 'phone'"),
        (_xlsx(["phone", "name", "name"]), "twice"),
        (_xlsx(["phone"], ["+966501234567"])[:-400], "not an Excel file"),
        (_with_part("xl/workbook.xml", b"<none/>"), "damaged"),
        (_with_part("xl/worksheets/sheet1.xml", b"<worksheet><sheetData><row>"), "damaged"),
    ],
)
def test_a_file_that_is_no_workbook_is_refused(body: bytes, says: str) -> None:
    with pytest.raises(Invalid, match=says) as refused:
        _read(body, format="xlsx")
    assert refused.value.field == "file"


def test_a_workbook_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.import_xlsx._MAX_UNPACKED", 1_000)
    with pytest.raises(Invalid, match="unpacks to more"):
        _read(_xlsx(["phone"], ["+966501234567"]), format="xlsx")


# ---- columns ------------------------------------------------------------------------------------------------


def test_a_mapping_says_where_columns_go() -> None:
    mapping = {"Tel.": "phone", "Full name": "name", "City": "attributes.city", "Groups": "tags", "Secret": ""}
    rows = _read(
        "Tel.,Full name,City,Groups,Secret,name\n0501234567,Sara,Riyadh,a؛b,x,nick\n", format="csv", mapping=mapping
    )
    assert rows == [
        NewContact(phone="+966501234567", name="Sara", tags=("a", "b"), attributes={"city": "Riyadh", "name": "nick"})
    ]


@pytest.mark.parametrize(
    "heading", ["Phone", "MOBILE", "phone_number", "رقم الجوال", "واتساب", "Phone Number", "\u200fالهاتف"]
)
def test_usual_names_of_a_column_are_known(heading: str) -> None:
    assert _read(f"{heading},الاسم الكامل\n0501234567,سارة\n") == [ONE]


def test_the_column_named_exactly_comes_first() -> None:
    (row,) = _read("Mobile,phone,tag,tags\n1,0501234567,x,y\n")
    assert row == NewContact(phone="+966501234567", tags=("y",), attributes={"Mobile": "1", "tag": "x"})


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        ({"none": "phone"}, "no column 'none'"),
        ({"phone": "telephone"}, "cannot go to 'telephone'"),
        ({"phone": "attributes."}, "cannot go to"),
        ({"phone": "attributes." + "x" * 101}, "cannot go to"),
        ({"phone": "attributes.\0"}, "cannot go to"),
        ({"phone": "phone", "name": "phone"}, "both be 'phone'"),
        ({"name": "attributes.city"}, "both be 'attributes.city'"),
    ],
)
def test_a_mapping_that_is_not_right_is_refused(mapping: dict[str, str], says: str) -> None:
    with pytest.raises(Invalid, match=says) as refused:
        _read("phone,name,city\n", mapping=mapping)
    assert refused.value.field == "mapping"


def test_without_a_column_for_numbers_the_file_is_refused() -> None:
    with pytest.raises(Invalid, match="No column is 'phone'") as refused:
        _read("phone,name\n", mapping={"phone": ""})
    assert "mapping" in (refused.value.hint or "")


def test_a_number_that_a_spreadsheet_has_rounded_is_told() -> None:
    (row,) = _read("phone\n9.66501E+11\n")
    assert isinstance(row, Rejected)
    assert "rounded" in row.message


# ---- which format -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filename", "beginning", "format"),
    [
        ("people.csv", b"phone", "csv"),
        ("people.csv", b"[phone]", "csv"),
        ("people.csv", b"PK\x03\x04", "xlsx"),
        ("People.XLSX", b"phone", "xlsx"),
        ("people.jsonl", b"", "json"),
        ("people", b'\xef\xbb\xbf [{"phone"', "json"),
        ("people", b"", "csv"),
    ],
)
def test_the_format_is_known_by_its_beginning_and_name(filename: str, beginning: bytes, format: str) -> None:
    assert format_of(filename, beginning) == format


def test_the_old_excel_format_is_refused() -> None:
    with pytest.raises(Invalid, match="old Excel"):
        format_of("people.xls", b"\xd0\xcf\x11\xe0\xa1\xb1")


def test_rows_are_counted_before_they_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for body, format, rows in (
        (b'phone,note\n1,"a\nb"\n\n2,\n', "csv", 2),
        (b'[{"phone": 1}, {"phone": 2}]', "json", 2),
        (_xlsx(["phone"], [1], [2], [3]), "xlsx", 3),
        (b'[{"phone": 1}, ', "json", None),
    ):
        path.write_bytes(body)
        assert count(path, format) == rows


def test_a_value_that_is_not_of_its_kind_is_told() -> None:
    kinds = {"age": "number", "born": "date", "city": "text"}
    rows = _read(
        "phone,age,born,city\n0501234567,٣٠٫٠,2000-01-31,7\n0501234568,old,,\n0501234569,,31.1.2000,\n0501234560,,,\n",
        kinds=kinds,
    )
    first, second, third, last = rows
    assert isinstance(first, NewContact)
    assert first.attributes == {"age": "30", "born": "2000-01-31", "city": "7"}
    assert second == Rejected(2, "attributes.age", "age is a number, which this value is not.")
    assert third == Rejected(3, "attributes.born", "born is a date, which this value is not.")
    assert isinstance(last, NewContact)
    assert last.attributes == {}


@pytest.mark.parametrize("heading", ["timezone", "Time Zone", "المنطقة الزمنية"])
def test_a_time_zone_is_the_persons(heading: str) -> None:
    known, unknown, none = _read(f"phone,{heading}\n0501234567, Asia/Riyadh\n0501234568,Mars\n0501234569,\n")
    assert known == NewContact(phone="+966501234567", timezone="Asia/Riyadh")
    assert unknown == Rejected(2, "timezone", "'Mars' is no time zone.")
    assert none == NewContact(phone="+966501234569")
