"""Guarded readers: whatever a JSON, YAML or Parquet file holds, the result is a value or one line that names it."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_manifests.errors import ConfigError, ManifestError, ToolkitError
from data_manifests.files import parse_yaml, read_json, read_parquet, read_yaml

BOMB = "\n".join(
    [f"a0: &a0 [{', '.join(['lol'] * 9)}]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
)  # 454 bytes, a third of a billion values

BAD_JSON = {
    "text": b"{not json",
    "truncated": b'{"a": [1, 2',
    "deep": b"[" * 100_000,
    "not_utf8": b'{"a": "\xff"}',
    "huge_number": b"1" * 10_000,
    "empty": b"",
    "list": b"[1]",
}
BAD_YAML = {
    "bomb": BOMB.encode(),
    "self": b"a: &a [*a]",
    "deep": b"[" * 5_000,
    "binary": b"a: \x00\x01",
    "not_utf8": b"a: \xff",
    "tag": b"a: !!python/object/apply:os.system [ls]",
    "two": b"a: 1\n---\nb: 2",
    "repeated": b"a: 1\na: 2",
    "huge_number": b"a: " + b"1" * 10_000,
    "mapping_key": b"? {a: 1}\n: 2",
    "unclosed": b"a: [1, 2",
    "tab": b"a:\n\t- b",
}


def _one_line(error: pytest.ExceptionInfo[ToolkitError], name: str) -> None:
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 700
    assert name in text


@pytest.mark.parametrize("name", BAD_JSON)
def test_bad_json_is_one_line(name, tmp_path):
    (tmp_path / name).write_bytes(BAD_JSON[name])
    with pytest.raises(ManifestError) as error:
        read_json(tmp_path / name, "Remedy.", kind=dict)
    _one_line(error, name)
    assert str(error.value).endswith("Remedy.")


@pytest.mark.parametrize("name", BAD_YAML)
def test_bad_yaml_is_one_line(name, tmp_path):
    (tmp_path / name).write_bytes(BAD_YAML[name])
    with pytest.raises(ConfigError) as error:
        read_yaml(tmp_path / name)
    _one_line(error, name)


def test_alias_bomb_is_small():
    assert len(BOMB) < 500


def test_plain_yaml_with_anchors_and_dates():
    values = parse_yaml("base: &b {x: 1}\nchild: {<<: *b, y: 2}\nday: 2026-01-01\nnone:", "text")
    assert values == {"base": {"x": 1}, "child": {"x": 1, "y": 2}, "day": "2026-01-01", "none": None}


@pytest.mark.parametrize("read", [read_json, read_yaml, read_parquet])
def test_no_file_folder_pipe_is_one_line(read, tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe", "absent", "null\0byte"):
        with pytest.raises(ToolkitError) as error:
            read(tmp_path / name)
        assert "\n" not in str(error.value)


def _parquet(path: Path) -> bytes:
    pq.write_table(pa.table({"a": list(range(1000)), "b": [str(i) for i in range(1000)]}), path)
    return path.read_bytes()


def test_damaged_parquet_is_one_line(tmp_path):
    data = _parquet(tmp_path / "good.parquet")
    assert read_parquet(tmp_path / "good.parquet", ["b"], [("a", "=", 3)]).to_pylist() == [{"b": "3"}]
    for number, bad in enumerate((data[:-20], data[20:], b"PAR1", b"", data[: len(data) // 2] + b"PAR1")):
        path = tmp_path / f"bad{number}.parquet"
        path.write_bytes(bad)
        with pytest.raises(ManifestError) as error:
            read_parquet(path)
        _one_line(error, path.name)
    with pytest.raises(ManifestError, match="no column 'c'"):
        read_parquet(tmp_path / "good.parquet", ["c"])


def test_text_that_is_not_utf8_in_parquet_is_one_line(tmp_path):
    texts = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\x01\0\0\0"), pa.py_buffer(b"\xff")])
    pq.write_table(pa.table({"a": texts}), tmp_path / "x.parquet")
    with pytest.raises(ManifestError, match="UTF8"):
        read_parquet(tmp_path / "x.parquet")
