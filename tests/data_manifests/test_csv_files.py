"""CSV as people, spreadsheets and attackers make it, wherever one is read or written."""

import csv
import io

import pandas as pd
import pytest

from data_manifests.corrections import Correction, append_corrections, read_corrections
from data_manifests.corrections.log import LogReader
from data_manifests.errors import CorrectionError, ManifestError
from data_manifests.files import csv_bytes, csv_lines, harmless, plain_text, read_csv_frame, write_csv_rows
from data_manifests.ingest.csv_rows import read_csv

ROWS = [["path", "age", "note"], ["a.jpg", "30", "x"], ["b.jpg", "40", "y; z, w"]]


def _file(tmp_path, text, name="a.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def _csv(separator):
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows(ROWS)
    return text.getvalue()


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_separators_and_byte_order_marks(separator, encoding, tmp_path):
    path = _file(tmp_path, _csv(separator).encode(encoding))
    header, rows = read_csv(path)
    assert header == ROWS[0]
    assert [list(row.values.values()) for row in rows] == ROWS[1:]
    assert read_csv_frame(path)["note"].tolist() == ["x", "y; z, w"]


def test_the_separator_line_of_excel(tmp_path):
    assert read_csv(_file(tmp_path, "sep=;\r\npath;age\r\na,b.jpg;30\r\n"))[1][0].values == {
        "path": "a,b.jpg",
        "age": "30",
    }


def test_a_separator_in_a_quoted_name_does_not_count(tmp_path):
    assert read_csv(_file(tmp_path, '"a,b,c";d\n1;2\n'))[0] == ["a,b,c", "d"]


def test_empty_columns_of_a_spreadsheet_are_left_out(tmp_path):
    header, rows = read_csv(_file(tmp_path, "path,age,,,\n a.jpg , 30 ,,,\nb.jpg,40,,,,,,\n,,,,\nc.jpg,50,stray,,\n"))
    assert header == ["path", "age", ""]
    assert [row.values["path"] for row in rows] == ["a.jpg", "b.jpg", "c.jpg"]
    header, rows = read_csv(_file(tmp_path, "path,age,,\na.jpg,30,,\nb.jpg,40,,stray\n"))
    assert header == ["path", "age"]
    assert [bool(row.problem) for row in rows] == [False, True]


@pytest.mark.parametrize("bad", ['b.jpg,"40', 'b.jpg,"4"0', '"b.jpg"x,40'])
def test_a_bad_quote_costs_its_row_only(bad, tmp_path):
    text = "path,age\na.jpg,30\n" + bad + "\n" + "".join(f"c{i}.jpg,50\n" for i in range(1000)) + '"d\ne.jpg",60\n'
    _, rows = read_csv(_file(tmp_path, text))
    assert [row.number for row in rows if row.problem] == [3]
    assert "row 3, line 3: " in rows[1].problem
    assert len(rows) == 1003
    assert rows[-1].values == {"path": "d\ne.jpg", "age": "60"}


def test_a_quote_that_is_never_closed_in_the_last_row(tmp_path):
    _, rows = read_csv(_file(tmp_path, 'path,age\na.jpg,30\nb.jpg,"40\n'))
    assert [bool(row.problem) for row in rows] == [False, True]
    assert rows[1].values["path"] == "b.jpg"


def test_a_cell_over_the_limit_of_the_parser_costs_its_row(tmp_path):
    _, rows = read_csv(_file(tmp_path, "path,age\na.jpg," + "9" * 200_000 + "\nb.jpg,40\n"))
    assert [bool(row.problem) for row in rows] == [True, False]


class _Counted(str):
    """A text that counts comparisons with others."""

    comparisons = 0

    def __eq__(self, other):
        _Counted.comparisons += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_many_columns_take_linear_time(tmp_path, monkeypatch):
    names = [f"c{i}" for i in range(50_000)]
    path = _file(tmp_path, ",".join(names) + "\n" + ",".join(["1"] * 50_000) + "\n")
    monkeypatch.setattr("data_manifests.ingest.csv_rows.plain_text", lambda cell: _Counted(plain_text(cell)))
    header, rows = read_csv(path)
    assert header == names
    assert len(rows[0].values) == 50_000
    assert _Counted.comparisons < 1_000_000  # 2.5 billion when each name was counted in the whole header


def test_not_utf8_names_the_line(tmp_path):
    with pytest.raises(ManifestError, match=r"Byte 16, in line 3, is not"):
        read_csv(_file(tmp_path, b"path\na.jpg\nb.jpg\xff\n"))


# -- formulas ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "@x", "-x", "-", "\tx", "'=1", "''=1"])
def test_formulas_are_harmless_and_come_back(text):
    cell = harmless(text)
    assert cell.startswith("'")
    assert plain_text(cell) == text.strip() or text.startswith("\t")


@pytest.mark.parametrize("value", ["a=b", "-1.5", "-.5 3", "", "it's", "'quoted'", 3, -3, None, float("nan")])
def test_other_cells_stay(value):
    assert harmless(value) is value


def test_writers_of_csv_quote_formulas(tmp_path):
    table = pd.DataFrame({"a": ["=x", None, "y"], "n": [-1.5, 2.0, 3.0]})
    path = _file(tmp_path, csv_bytes(table))
    assert path.read_text() == "a,n\n'=x,-1.5\n,2.0\ny,3.0\n"
    assert table["a"][0] == "=x"
    assert read_csv_frame(path)["a"].tolist()[::2] == ["=x", "y"]
    text = io.StringIO()
    write_csv_rows(text, ["a", "b"], [{"a": "@x", "b": 1}])
    assert text.getvalue() == "a,b\n'@x,1\n"


@pytest.mark.parametrize(("text", "problem"), [("", "No columns to parse"), ('a,b\n1,2,3\n"', "EOF inside string")])
def test_a_frame_that_cannot_be_read_is_one_line(text, problem, tmp_path):
    with pytest.raises(ManifestError, match=problem) as refused:
        read_csv_frame(_file(tmp_path, text))
    assert "\n" not in str(refused.value)


def test_a_frame_of_a_header_alone_has_no_rows(tmp_path):
    table = read_csv_frame(_file(tmp_path, "a,b\n"))
    assert list(table.columns) == ["a", "b"]
    assert table.empty


# -- correction logs --------------------------------------------------------------------------------------------


def _record(**values):
    common = {"manifest": "faces@1#12345678", "sample_id": "a", "person_id": "p", "scope": "sample", "annotator": "Kim"}
    return Correction(**common | values)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_correction_log_that_a_spreadsheet_saved(separator, tmp_path):
    path = tmp_path / "kim.csv"
    records = [
        _record(field="exclude", old="false", new="true", note="=1; blurred, twice"),
        _record(field="age", old="30", new="40"),
    ]
    append_corrections(path, records)
    kept = [line.cells for line in csv_lines(path.read_text(), ",")]
    text = io.StringIO()
    saved = [
        [cell.upper() if cell in ("true", "false") else f"{cell} " if cell == "40" else cell for cell in row]
        for row in kept
    ]
    csv.writer(text, delimiter=separator).writerows([*row, "", ""] for row in saved)
    path.write_bytes(text.getvalue().encode("utf-8-sig"))
    table = read_corrections([path])
    assert table["problem"].to_pylist() == ["", ""]
    assert table["new"].to_pylist() == ["true", "40"]
    assert table["note"].to_pylist() == ["=1; blurred, twice", ""]
    problems: list[str] = []
    assert [record for _, record in LogReader(path).read_new(problems)] == records
    assert not problems


def test_a_folder_as_correction_log_is_one_line(tmp_path):
    with pytest.raises(CorrectionError, match="is a folder"):
        read_corrections([tmp_path])


def test_a_bad_line_of_a_correction_log_costs_itself(tmp_path):
    path = tmp_path / "kim.csv"
    append_corrections(path, [_record(field="age", old="30", new="40")])
    path.write_text(path.read_text() + 'x,"y\n')
    append_corrections(path, [_record(field="age", old="30", new="41")])
    problems = read_corrections([path])["problem"].to_pylist()
    assert [bool(problem) for problem in problems] == [False, True, False]
