"""Tables as spreadsheets and editors leave them: the same rows, or an error that says where and what."""

import codecs
import json

import pandas as pd
import pytest

from soundprompt.data import avsbench, given, vggss
from soundprompt.errors import InputError

from .conftest import BOXES, HEADER, ROWS

TEXT = "\n".join([HEADER, *ROWS]) + "\n"
NAMES = "\n".join(entry["file"] for entry in BOXES) + "\n"
SAVED = {
    "byte order mark": TEXT.encode("utf-8-sig"),
    "UTF-16": TEXT.encode("utf-16"),
    "UTF-16, big end first": codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
    "Windows": TEXT.replace("\n", "\r\n").encode(),
    "old Mac": TEXT.replace("\n", "\r").encode(),
    "semicolons": TEXT.replace(",", ";").encode(),
    "tabs": TEXT.replace(",", "\t").encode(),
    "sep=": b"sep=;\r\n" + TEXT.replace(",", ";").encode(),
    "quotes": "".join(f'"{line}"\n' for line in TEXT.replace(",", '","').splitlines()).encode(),
    "blanks behind commas": TEXT.replace(",", ", ").encode(),
    "blanks before commas": TEXT.replace(",", " ,").encode(),
    "blanks and quotes": "".join(f'"{line}" \n' for line in TEXT.replace(",", '", "').splitlines()).encode(),
    "no-break spaces": TEXT.replace(",", "\u00a0,").encode(),
    "capitals": TEXT.replace(HEADER, HEADER.upper()).encode(),
    "columns in another order, and more": "\n".join(
        ["note,label,split,a_obj,s_sec,s_min,uid,vid"] + ["x," + ",".join(reversed(row.split(","))) for row in ROWS]
    ).encode(),
    "empty columns": "".join(f"{line},,,\n" for line in TEXT.splitlines()).encode(),
    "empty rows": TEXT.replace("\n", "\n\n,,,,,,\n").encode(),
    "no end of line": TEXT.rstrip().encode(),
}
BROKEN = {
    "short": (TEXT.replace(ROWS[3], ROWS[3].rpartition(",")[0]), "row 5 has 6 values where the first row names 7"),
    "long": (TEXT.replace(ROWS[3], ROWS[3] + ",x"), "row 5 has 8 values .* the last is 'x'"),
    "behind an empty row": (TEXT.replace(ROWS[3], "\n" + ROWS[3] + ",x"), "row 6 has 8 values"),
    "no header": ("\n".join(ROWS), "row 1 lacks the columns vid, uid.*; it has: __GOGlHL23s"),
    "a column twice": (TEXT.replace(HEADER, "vid," + HEADER), "row 1 names the column 'vid' twice"),
    "open quote": (TEXT.replace(ROWS[3], '"' + ROWS[3]), "row 5: a quote is opened and not closed"),
    "Latin 1": (TEXT.replace("guitar", "guitarré").encode("latin-1"), "row 8 is not UTF-8"),
    "zero bytes": (TEXT.encode("utf-16-le"), "zero bytes"),
    "a workbook": (b"PK\x03\x04\x14\x00", "an Excel workbook"),
    "a page": ("<!DOCTYPE html><html></html>", "a web page"),
    "blank": ("\n \n", "is empty"),
}


@pytest.mark.parametrize("kind", SAVED)
def test_the_same_rows_however_they_are_saved(tmp_path, kind):
    (tmp_path / "metadata.csv").write_text(TEXT)
    expected = avsbench.read_metadata(tmp_path)
    assert len(expected) == len(ROWS) and expected["uid"].tolist() == [row.split(",")[1] for row in ROWS]
    (tmp_path / "metadata.csv").write_bytes(SAVED[kind])
    pd.testing.assert_frame_equal(avsbench.read_metadata(tmp_path), expected)


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_broken_is_named_with_its_row(tmp_path, kind):
    content, words = BROKEN[kind]
    path = tmp_path / "metadata.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=words) as caught:
        avsbench.read_metadata(tmp_path)
    assert caught.value.path == path and caught.value.remedy


@pytest.mark.parametrize(
    "content",
    [
        NAMES.encode("utf-8-sig"),
        NAMES.encode("utf-16"),
        b"file\n" + NAMES.encode(),
        b'"video id";"class"\r\n' + NAMES.replace("\n", ";dog\r\n").encode(),
        "".join(f'"{name}"\n' for name in NAMES.split()).encode(),
        NAMES.replace("\n", " ,\n\n").encode(),
        b"\n\n" + NAMES.encode(),
    ],
)
def test_the_list_of_vggss(vggss_root, content):
    (vggss_root / "vggss_test.csv").write_bytes(content)
    assert [item.file for item in vggss.read_annotations(vggss_root)] == [entry["file"] for entry in BOXES]


def test_a_clip_that_vggss_lacks_is_named_with_its_row(vggss_root):
    (vggss_root / "vggss_test.csv").write_text(NAMES + "\n#NAME?\n")
    with pytest.raises(InputError, match=r"no boxes for '#NAME\?' \(1 such clips\), which row 4 of vggss_test.csv"):
        vggss.read_annotations(vggss_root)


def test_json(vggss_root):
    path = vggss_root / "vggss.json"
    for encoding in ("utf-8-sig", "utf-16"):
        path.write_bytes(json.dumps(BOXES).encode(encoding))
        assert len(vggss.read_annotations(vggss_root)) == 2
    path.write_text(json.dumps(BOXES)[:-1] + ",]")
    with pytest.raises(InputError, match=r"vggss\.json: not valid JSON \(.*line 1 column") as caught:
        vggss.read_annotations(vggss_root)
    assert "delete" not in caught.value.remedy and "correct" in caught.value.remedy
    path.write_text("[" * 100_000)
    with pytest.raises(InputError, match="not valid JSON"):
        vggss.read_annotations(vggss_root)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("..", "leaves"),
        ("a/../b", "leaves"),
        ("/etc", "leaves"),
        ("a\\b", "leaves"),
        (".hidden", "begins with a dot"),
        ("a\0b", "cannot be printed"),
        ("a\nb", "cannot be printed"),
        ("a\u202eb", "cannot be printed"),
        ("", "is empty"),
        ("é" * 101, "longer than 200 bytes"),
    ],
)
def test_names_stay_in_their_folder(name, words):
    with pytest.raises(InputError, match=f"x.csv: row 3: the name .* {words}"):
        given.check_name(name, "x.csv", "row 3")
    assert given.check_name("-a_B.c é*", "x.csv", "row 3") == "-a_B.c é*"
