"""Manifests: encodings, separators, headers, workbooks and single rows, each read the same way every time."""

import io
from datetime import date
from decimal import Decimal

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.services.uploading.encodings import detect_encoding
from catalog.services.uploading.entries import Entry
from catalog.services.uploading.faults import UploadFault
from catalog.services.uploading.manifest import Manifest, find_manifest, merged_attributes
from catalog.services.uploading.names import archived_name, is_junk, is_unsafe, normal_name

HEAD = "sku,title,price,currency,images,Colour"


def read(data: bytes):
    return list(Manifest(io.BytesIO(data)).rows())


def one(line: str, head: str = HEAD):
    (found,) = read(f"{head}\n{line}\n".encode())
    return found


def codes(row) -> list[str]:
    return [problem["code"] for problem in row.problems]


def fault(data: bytes) -> str:
    with pytest.raises(UploadFault) as raised:
        read(data)
    return raised.value.code


def workbook(*rows) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("text", "encoding", "found"),
    [
        ("Grüner Becher – 5 €", "utf-8", "utf-8"),
        ("Grüner Becher", "utf-8-sig", "utf-8-sig"),
        ("Grüner Becher 杯子", "utf-16", "utf-16"),
        ("绿色陶瓷杯子，容量三百毫升", "gbk", "gb18030"),
        ("红色", "gbk", "gb18030"),
        ("Grüner Becher, Größe L", "latin-1", "cp1252"),
        ("Café crème à l'été, façon Noël", "latin-1", "cp1252"),
        ("Becher für 5 €", "cp1252", "cp1252"),
        ("ÄÖ sind Umlaute, schön für Löffel", "latin-1", "cp1252"),  # ÄÖ alone would be a Chinese character
        ("plain", "ascii", "utf-8"),
    ],
)
def test_the_encoding_is_found_out(text, encoding, found):
    data = f'sku,title\nA,"{text}"\n'.encode(encoding)
    assert detect_encoding(io.BytesIO(data)) == found
    (row,) = read(data)
    assert row.values["title"] == text
    assert row.sku == "A"


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused_with_a_code(data):
    try:
        read(data)
    except UploadFault as refused:
        assert refused.code.startswith(("manifest_", "column_"))


@given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]), max_size=60))
def test_any_text_in_utf_8_comes_back(text):
    row = one(f'A,"{text.replace(chr(34), chr(34) * 2)}",,,,')
    if text.strip():
        assert row.cells["title"] == (text[1:] if text.startswith("'") and row.cells["title"] != text else text)
        assert row.values["title"] == " ".join(row.cells["title"].split())
    else:
        assert codes(row) == ["title_missing"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_separator_is_found_out(separator):
    data = f'sku,title,brand\nA,Mug,"One{separator} two"\n'.replace(",", separator).encode()
    (row,) = read(data)
    assert row.cells == {"sku": "A", "title": "Mug", "brand": f"One{separator} two"}


def test_the_line_that_excel_puts_first_is_understood():
    (row,) = read(b"sep=;\r\nsku;title\r\nA;Mug\r\n")
    assert row.values == {"sku": "A", "title": "Mug"}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "manifest_empty"),
        (b"\n\n , \n", "manifest_empty"),
        (b"A,Mug,9.90\nB,Cup,8.00\n", "manifest_without_header"),
        ("A,杯子,9.90\n".encode("gbk"), "manifest_without_header"),
        (b"sku,brand\nA,Acme\n", "column_missing"),
        (b"title,price\nMug,9\n", "column_missing"),
        (b"sku,title,Title\nA,b,c\n", "column_duplicate"),
        (b"sku,title," + b",".join(b"c%d" % n for n in range(200)) + b"\n", "manifest_too_many_columns"),
        (b'sku,title\nA,"Mug\n' + b"x" * 200_000, "manifest_unreadable"),
        (b"PK\3\4 no workbook", "manifest_unreadable"),
    ],
)
def test_a_manifest_that_cannot_be_understood_is_refused_as_a_whole(data, code):
    assert fault(data) == code


def test_headings_may_be_written_freely_and_others_are_attributes():
    manifest = Manifest(io.BytesIO(b"\n SKU ,Title,In stock,Colour,,problems\nA,Mug,no,green,,x\n\nB,Cup,,,,\n"))
    first, second = manifest.rows()
    assert manifest.columns == ["SKU", "Title", "In stock", "Colour", "column_5", "problems"]
    assert (first.number, second.number) == (3, 5)
    assert first.values["in_stock"] is False
    assert first.values["attributes"] == {"Colour": "green", "column_5": ""}
    assert second.values["in_stock"] is True
    assert merged_attributes({"Colour": "red", "Size": "L"}, {"Colour": "", "Fit": "slim"}) == {
        "Size": "L",
        "Fit": "slim",
    }


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (",Mug,,,,", ["sku_missing"]),
        ("A,,,,,", ["title_missing"]),
        (",,-1,XYZ,,", ["sku_missing", "title_missing", "price_negative", "currency_unknown"]),
        ("A,Mug,-0.01,EUR,,", ["price_negative"]),
        ("A,Mug,free,EUR,,", ["price_not_a_number"]),
        ("A,Mug,NaN,EUR,,", ["price_not_a_number"]),
        ("A,Mug,1e3,EUR,,", ["price_not_a_number"]),
        ("A,Mug,9.90 EUR,EUR,,", ["price_not_a_number"]),
        ('A,Mug,"1.234,50",EUR,,', ["price_ambiguous"]),
        ('A,Mug,"1,234.50",EUR,,', ["price_ambiguous"]),
        ('A,Mug,"1,234",EUR,,', ["price_ambiguous"]),
        ("A,Mug,9.999,EUR,,", ["price_too_many_decimals"]),
        ("A,Mug,99999999999,EUR,,", ["price_too_large"]),
        ("A,Mug,9.90,,,", ["currency_missing"]),
        ("A,Mug,9.90,EURO,,", ["currency_unknown"]),
        ("A,Mug,,,,,extra", ["row_too_many_cells"]),
        (f"{'A' * 101},Mug,,,,", ["sku_too_long"]),
        (f"A,{'M' * 301},,,,", ["title_too_long"]),
        ("A\0B,Mug,,,,", ["sku_not_text"]),
        (f"A,Mug,,,,{'x' * 1001}", ["attribute_too_long"]),
        ("A,Mug,,,a.jpg|" + "|".join(f"{n}.jpg" for n in range(101)) + ",", ["images_too_many"]),
    ],
)
def test_a_row_tells_all_its_problems(line, expected):
    row = one(line)
    assert codes(row) == expected
    assert row.refused is (expected != ["images_too_many"])
    assert all(problem["message"].endswith((".", "?")) for problem in row.problems)


@pytest.mark.parametrize(
    ("text", "price"),
    [("9.9", "9.90"), ('"9,90"', "9.90"), ("+5", "5.00"), ("0", "0.00"), ("1.500", "1.50"), ("", None)],
)
def test_prices_that_mean_one_thing_are_taken(text, price):
    row = one(f"A,Mug,{text},eur,,")
    assert codes(row) == []
    assert row.values["price"] == (None if price is None else Decimal(price))
    assert row.values["currency"] == "EUR"


def test_images_are_listed_once_and_an_empty_cell_says_nothing():
    assert one("A,Mug,,, b.jpg | a.jpg||b.jpg ,").images == ["b.jpg", "a.jpg"]
    assert one("A,Mug,,, | ,").images is None


def test_a_guarded_cell_loses_its_apostrophe():
    assert one("'-5,'=1+1,,,,'plain").cells == {
        "sku": "-5",
        "title": "=1+1",
        "price": "",
        "currency": "",
        "images": "",
        "Colour": "'plain",
    }


def test_a_workbook_is_read_as_a_spreadsheet_shows_it():
    data = workbook(
        ["sku", "title", "price", "currency", "Since", "in_stock"],
        [1001, "Mug", 9.9, "EUR", date(2026, 1, 2), True],
        [],
        ["00012", "Cup", 10, "EUR", None, False],
        ["B", 12.5, 0.1 + 0.2, "EUR"],
    )
    rows = read(data)
    assert [row.number for row in rows] == [2, 4, 5]
    assert [row.sku for row in rows] == ["1001", "00012", "B"]
    assert [row.values["price"] for row in rows] == [Decimal("9.90"), Decimal("10.00"), Decimal("0.30")]
    assert rows[0].values["attributes"]["Since"].startswith("2026-01-02")
    assert [row.values["in_stock"] for row in rows] == [True, False, True]
    assert rows[2].values["title"] == "12.5"


def test_a_workbook_row_with_a_cell_too_many_is_refused():
    (row,) = read(workbook(["sku", "title"], ["A", "Mug", "extra"]))
    assert codes(row) == ["row_too_many_cells"]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["m.csv", "a.jpg"], "m.csv"),
        (["shop/list.xlsx", "shop/a.jpg"], "shop/list.xlsx"),
        (["m.csv", "shop/list.xlsx"], "m.csv"),
        (["Manifest.xlsx", "prices.csv"], "Manifest.xlsx"),
        (["a/b/m.csv", "a.jpg"], None),
        (["a.jpg"], None),
    ],
)
def test_the_manifest_is_found(names, found):
    entry = find_manifest([Entry(name, None) for name in names])
    assert (entry.name if entry else None) == found


@pytest.mark.parametrize(
    ("names", "code"), [(["a.csv", "b.csv"], "manifest_ambiguous"), (["list.xls", "a.jpg"], "manifest_unsupported")]
)
def test_a_manifest_is_not_guessed(names, code):
    with pytest.raises(UploadFault) as raised:
        find_manifest([Entry(name, None) for name in names])
    assert raised.value.code == code


@pytest.mark.parametrize("name", ["/a", "../a", "a/../b", "..", "C:a", "c:/a", "a\0b"])
def test_unsafe_names(name):
    assert is_unsafe(normal_name(name))


@pytest.mark.parametrize("name", ["a", "a..b", "a/b.jpg", "...", "ä/杯.jpg"])
def test_safe_names(name):
    assert not is_unsafe(normal_name(name))


def test_junk_and_normal_names():
    assert is_junk("__MACOSX/a.jpg") and is_junk("x/.DS_Store") and is_junk("Thumbs.db") and is_junk("~$list.xlsx")
    assert not is_junk("photos/a.jpg") and not is_junk("../a.jpg")
    assert normal_name(" ./photos\\\\a.jpg") == "photos/a.jpg"
    assert normal_name("Mo\u0308bel.jpg") == "M\u00f6bel.jpg"


@pytest.mark.parametrize("name", ["Möbel.jpg", "照片/杯子.jpg", "plain.jpg"])
def test_names_without_the_utf_8_flag(name):
    raw = name.encode("gbk" if "照" in name else "utf-8").decode("cp437")
    assert archived_name(raw, is_utf8=False) == name
    assert archived_name(name, is_utf8=True) == name
