"""A log as the page shows it: every byte once, in lines, in colours, and steering nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.jobs.log_find import MOST_HITS, find_in_log
from gateway.jobs.log_folder import LogFolder
from gateway.jobs.log_view import LOG_BYTES, LOG_LINES, LogPart, parse_line, read_log


def text_of(part: LogPart) -> list[str]:
    return ["".join(piece.text for piece in line.pieces) for line in part.lines]


def styles(line: str) -> list[tuple[str, str]]:
    return [(piece.text, piece.style) for piece in parse_line(line)[0]]


@pytest.fixture
def logs(tmp_path: Path) -> LogFolder:
    return LogFolder(tmp_path / "logs", 1 << 30)


def written(logs: LogFolder, content: bytes) -> Path:
    path = logs.path("01J", 1, "stdout", 0)
    logs.append(path, 0, content)
    return path


WIDE = [f"line {number} " + "x" * (number % 90) for number in range(9000)]
SHORT = [*map(str, range(9000)), *[""] * 9000]


@pytest.mark.parametrize("wanted", [WIDE, SHORT])
def test_going_back_from_the_end_shows_every_line_once(logs: LogFolder, wanted: list[str]) -> None:
    path = written(logs, "".join(f"{line}\n" for line in wanted).encode())
    part = read_log(logs, path, None, None)
    found = text_of(part)
    while part.earlier is not None:
        part = read_log(logs, path, part.earlier, part.start)
        found = text_of(part) + found
        assert len(part.lines) <= LOG_LINES
    assert found == wanted


@pytest.mark.parametrize("wanted", [[f"{line}é" for line in WIDE], SHORT])
def test_going_on_from_the_beginning_shows_every_line_once(
    logs: LogFolder, wanted: list[str]
) -> None:
    path = written(logs, "".join(f"{line}\n" for line in wanted).encode())
    part = read_log(logs, path, 0, None)
    found = text_of(part)[: -1 if part.lines[-1].partial else None]
    while part.end < part.size:
        assert len(part.lines) <= LOG_LINES + 1
        part = read_log(logs, path, part.end, None)
        found += text_of(part)[: -1 if part.lines[-1].partial else None]
    assert found == wanted


def test_a_line_that_has_not_ended_comes_again_longer(logs: LogFolder) -> None:
    path = written(logs, b"done\n10 %\r20 %")
    part = read_log(logs, path, None, None)
    assert (text_of(part), part.end, part.lines[-1].partial) == (["done", "20 %"], 5, True)
    logs.append(path, 14, b" 30 %\n")
    assert text_of(read_log(logs, path, part.end, None)) == ["20 % 30 %"]


def test_a_line_longer_than_a_part_is_shown_in_parts(logs: LogFolder) -> None:
    path = written(logs, b"y" * (3 * LOG_BYTES) + b"\nend\n")
    part, count = read_log(logs, path, 0, None), 0
    while part.end < part.size:
        count += sum(map(len, text_of(part)))
        part = read_log(logs, path, part.end, None)
    assert count + len("".join(text_of(part))) == 3 * LOG_BYTES + 3


def test_an_empty_and_a_missing_log_are_no_error(logs: LogFolder) -> None:
    part = read_log(logs, logs.path("01J", 1, "stderr", 7), None, None)
    assert (part.lines, part.size, part.earlier, part.later) == ((), 0, None, None)
    assert read_log(logs, written(logs, b"a\n"), 10_000, 5).lines == ()


def test_a_line_says_when_it_was_read_and_the_same_bytes_again_change_nothing(
    logs: LogFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = logs.path("01J", 1, "stdout", 0)
    for moment, offset, content in (
        (0.0, 0, b"one\n"),
        (3600.0, 4, b"two\nthree\n"),
        (7200.0, 4, b"two\nthree\n"),
        (7200.2, 14, b"four\n"),
    ):
        monkeypatch.setattr(time, "time", lambda moment=moment: 1_700_000_000 + moment)
        logs.append(path, offset, content)
    lines = read_log(logs, path, None, None).lines
    assert [line.when[-8:] for line in lines] == ["22:13:20", "23:13:20", "23:13:20", "00:13:20"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[39m", [("red", "ansi-red")]),
        (
            "\x1b[1;4;38;5;196ma\x1b[22;24mb",
            [("a", "ansi-red ansi-bold ansi-underlined"), ("b", "ansi-red")],
        ),
        ("\x1b[38;2;0;0;250mblue", [("blue", "ansi-blue")]),
        ("\x1b[97;7mwhite", [("white", "ansi-marked")]),
        ("\x1b[38mx\x1b[38;5my\x1b[99999999mz", [("xyz", "")]),
        ("\x1b[31m10 %\r\x1b[32m20 %\x1b[0m\r", [("20 %", "ansi-green")]),
        ("\x1b[2J\x1b]0;title\x07<b>", [("^[[2J^[]0;title^G<b>", "")]),
        ("a\u202eb\x9b31m", [("a\ufffdb\ufffd31m", "")]),
    ],
)
def test_colours_act_and_all_else_is_shown(text: str, shown: list[tuple[str, str]]) -> None:
    assert styles(text) == shown


@given(st.text(alphabet=st.sampled_from("ab\x1b[0123456789;:m\r\x07<&\u202e\x85")))
def test_whatever_is_printed_only_our_classes_and_no_control_sign_come_of_it(text: str) -> None:
    for words, style in styles(text):
        assert all(sign.isprintable() or sign == "\ufffd" for sign in words)
        assert all(name.startswith("ansi-") for name in style.split())


def test_a_hostile_line_is_read_at_once() -> None:
    begun = time.thread_time()
    for text in ("\x1b[31mx\x1b[32my" * 6000, "\r" * 65_536 + "x", "\x1b[" + "1;" * 32_000 + "m"):
        parse_line(text)
    assert time.thread_time() - begun < 2.0


def test_words_are_found_in_all_of_a_log_and_lead_to_their_lines(logs: LogFolder) -> None:
    lines = [f"line {number} " + "x" * 90 for number in range(30_000)]
    lines[20_000] = "\x1b[31mWARNING\x1b[0m: [chi] is <b>large</b>"
    path = written(logs, "".join(f"{line}\n" for line in lines).encode() + b"no end")
    found = find_in_log(logs, path, "warning")
    assert found is not None
    ((hit,), count) = found.hits, found.count
    assert (hit.text, count) == ("WARNING: [chi] is <b>large</b>", 1)
    assert text_of(read_log(logs, path, hit.offset, None))[0] == hit.text
    everywhere = find_in_log(logs, path, "line 1")
    assert everywhere is not None
    assert (len(everywhere.hits), everywhere.count) == (MOST_HITS, 11_111)
    for words, hits in (("[chi]", 1), ("NO END", 1), (".*", 0), ("line 7 line", 0)):
        told = find_in_log(logs, path, words)
        assert told is not None
        assert told.count == hits, words
    assert find_in_log(logs, path, "  ") is None
    nothing = find_in_log(logs, path.with_name("absent.txt"), "line")
    assert nothing is not None
    assert nothing.count == 0


def test_a_line_longer_than_any_piece_is_looked_through_and_ends(logs: LogFolder) -> None:
    path = written(logs, b"x" * 3_000_000 + b" needle " + b"y" * 3_000_000)
    found = find_in_log(logs, path, "needle")
    assert found is not None
    assert (found.count, len(found.hits[0].text) < 300) == (1, True)
