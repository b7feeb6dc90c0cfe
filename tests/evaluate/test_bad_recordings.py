"""A recording that cannot be used: one message with file, row and column, and exit 78."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recordings import SITE, cli, ramp

from agent.evaluate import csvfile, messages
from agent.evaluate.csvfile import CsvRecording
from agent.evaluate.source import BadRecording

HOLE = re.compile(r"\{(\w+)\}")
LETTERS = 't_s,timesap\n\r"0123456789.-:eEnaif \0'
BAD = json.loads((Path(__file__).parent / "bad_recordings.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", BAD)
def test_a_bad_recording_is_refused_with_its_place(tmp_path: Path, case: str) -> None:
    text, expected = BAD[case]["text"], BAD[case]["expected"]
    (tmp_path / "site.yaml").write_text(SITE, encoding="utf-8")
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.csv").write_text(text, encoding="utf-8")
    status, out, err = cli("--data", str(data), "--site", str(tmp_path / "site.yaml"))
    assert (status, out, err) == (78, "", f"{expected}\n")


@pytest.mark.parametrize("case", BAD)
def test_it_is_said_in_chinese_too(tmp_path: Path, case: str) -> None:
    """The same place and the same finding, without a word of English but what was found."""
    (tmp_path / "a.csv").write_text(BAD[case]["text"], encoding="utf-8")
    (tmp_path / "site.yaml").write_text(SITE, encoding="utf-8")
    args = ("--data", str(tmp_path), "--site", str(tmp_path / "site.yaml"), "--lang", "zh")
    status, out, err = cli(*args)
    assert (status, out, err.count("\n")) == (78, "", 1)
    row = re.match(r"a\.csv: row (\d+)", BAD[case]["expected"])
    assert row is not None
    assert err.startswith(f"a.csv：第 {row[1]} 行")
    assert not re.search(r"expected|found|column|mixed", err)


@pytest.mark.parametrize("table", [messages.TEXTS, messages.NOUNS], ids=["texts", "nouns"])
def test_messages_have_the_same_places_in_both_languages(
    table: dict[str, messages.Pair],
) -> None:
    for what, (english, chinese) in table.items():
        assert set(HOLE.findall(english)) == set(HOLE.findall(chinese)), what
        assert english.isascii()
        assert not chinese.isascii()


def test_bytes_that_are_no_text_come_with_their_row(tmp_path: Path) -> None:
    rows = "".join(f"{t},20\n" for t in range(5000)).encode()
    for data in (b"t_s,x\n" + rows + b"5000,20 \xb0C\n" + rows, "t_s,x\n0,1\n".encode("utf-16")):
        (tmp_path / "a.csv").write_bytes(data)
        with pytest.raises(BadRecording) as caught:
            list(CsvRecording(tmp_path / "a.csv", "a.csv").frames(["x"]))
        row = 5002 if data.startswith(b"t_s") else 1
        assert str(caught.value).startswith(f"a.csv: row {row}: expected UTF-8 text")


def test_a_mark_and_line_ends_of_any_system_are_read(tmp_path: Path) -> None:
    found = []
    for text in ("t_s,x\n0,20\n1,21\n", "\ufefft_s,x\r\n0,20\r\n1,21\r\n", "t_s,x\r0,20\r1,21",
                 '"t_s","x"\n"0","20"\n\n1, 21 \n'):  # fmt: skip
        (tmp_path / "a.csv").write_text(text, encoding="utf-8", newline="")
        recording = CsvRecording(tmp_path / "a.csv", "a.csv")
        found.append([(f.ns, f.value.tolist()) for f in recording.frames(["x"])])
    assert found == [[(0, [20.0]), (1_000_000_000, [21.0])]] * 4


def test_a_file_beyond_every_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text(ramp(500))
    for limit, most, row in (
        ("EVALUATE_ROWS_MAX", 100, 101),
        ("EVALUATE_BYTES_MAX", 1_000, 77),
        ("EVALUATE_LINE_CHARS_MAX", 12, 1),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(csvfile, limit, most)
            with pytest.raises(BadRecording, match=rf"^a\.csv: row {row}: .*{most}"):
                list(CsvRecording(tmp_path / "a.csv", "a.csv").frames(["ceiling_a"]))


def test_a_column_that_is_named_in_full_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE.replace('"ceiling_*":', "ceiling_c:"), "utf-8")
    (tmp_path / "a.csv").write_text(ramp(5))
    status, _, err = cli("--data", str(tmp_path), "--site", str(tmp_path / "site.yaml"))
    assert status == 78
    assert (
        err == "a.csv: row 1, column ceiling_c: expected this column, found ceiling_a, ceiling_b\n"
    )


def entry(**changes: object) -> dict[str, object]:
    return {"file": "a.csv", "kind": "x", "ignition_t_s": None, **changes}


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        ("[", "this is not JSON"),
        ({}, "expected a list of recordings, found another shape"),
        ([3], "entry 0: expected a map with file, kind and ignition_t_s"),
        ([entry(file="b.csv")], "'b.csv' is listed, but it is not in the folder"),
        ([entry(kind=4)], "entry 0: expected 'kind': a text, found 4"),
        ([{"file": "a.csv", "kind": "x"}], "entry 0: expected 'ignition_t_s': seconds, or null"),
        ([entry(ignition_t_s=True)], "found True"),
        ([entry(), entry()], "entry 1: 'a.csv' is listed twice"),
    ],
)  # fmt: skip
def test_a_bad_index_is_refused(tmp_path: Path, index: object, expected: str) -> None:
    (tmp_path / "site.yaml").write_text(SITE, encoding="utf-8")
    (tmp_path / "a.csv").write_text(ramp(5))
    text = index if isinstance(index, str) else json.dumps(index)
    (tmp_path / "index.json").write_text(text)
    status, _, err = cli("--data", str(tmp_path), "--site", str(tmp_path / "site.yaml"))
    assert status == 78
    assert err.startswith("index.json: ")
    assert expected in err
    assert err.count("\n") == 1


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE, encoding="utf-8")
    empty = tmp_path / "empty"
    empty.mkdir()
    for data, expected in (
        (empty, "expected recordings"),
        (tmp_path / "none", "expected a folder"),
    ):
        status, _, err = cli("--data", str(data), "--site", str(tmp_path / "site.yaml"))
        assert (status, expected in err) == (78, True)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(ramp(500).encode())
    path = tmp_path / "a.csv.gz"
    for data in (packed[:-20], b"t_s,x\n0,1\n", packed[:200] + b"\0" * 40 + packed[240:]):
        path.write_bytes(data)
        with pytest.raises(BadRecording, match=r"^a\.csv\.gz: row \d+: this archive"):
            list(CsvRecording(path, path.name).frames(["ceiling_a"]))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=200), st.text(LETTERS, max_size=200).map(str.encode)))
def test_any_bytes_are_a_recording_or_one_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    error = ""
    frames = []
    try:
        recording = CsvRecording(path, path.name)
        frames = list(recording.frames(recording.columns))
    except BadRecording as e:
        error = str(e)
    assert error.startswith("a.csv: ") if error else frames
