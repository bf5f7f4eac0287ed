"""Programs to talk to through a shell, and words that a careless one would act upon."""

from __future__ import annotations

import sys

from scheduler.shell import Stream

HOSTILE = (
    "",
    " ",
    "two  words",
    "-rf",
    "--wrap=id",
    "--",
    "it's",
    'a "quote"',
    "a'; touch /tmp/canary; '",
    "$(touch /tmp/canary)",
    "`touch /tmp/canary`",
    "${HOME} $HOME ~ ~root * ? [a-z] {a,b}",
    "back\\slash \\n \\0101 \\c \\",
    "100% %s %b %%",
    "line\nbreak",
    "\n\nends\n\n",
    "\r\n\t\v\f\a\b\x1b[2J\x7f",
    "! !! !ls ^a^b #comment",
    "a;b|c&d>e<f(g)h",
    "grüße 😀 \u202e\u2028\u0085",
    "not utf-8: \udcff\udc80",
    "x" * 10_000,
)

SHOW_ARGV = "import os, sys; os.write(1, b''.join(os.fsencode(w) + b'\\0' for w in sys.argv[1:]))"
"""Prints its arguments, each with a null byte after it."""

ECHO = (sys.executable, "-ISc", "import os\nwhile data := os.read(0, 1 << 16): os.write(1, data)")
"""Sends back each piece as it comes."""


def read_all(stream: Stream, timeout_s: float = 20.0) -> bytes:
    """Receive until the program has ended."""
    whole = b""
    while data := stream.receive(1 << 16, timeout_s):
        whole += data
    return whole


def read_exactly(stream: Stream, count: int, timeout_s: float = 20.0) -> bytes:
    """Receive so many bytes."""
    pieces: list[bytes] = []
    while count:
        piece = stream.receive(count, timeout_s)
        assert piece, "the program ended before it had sent all"
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def received_argv(stream: Stream) -> list[bytes]:
    """Read what `SHOW_ARGV` prints."""
    return read_all(stream).split(b"\0")[:-1]
