"""Text from elsewhere, made safe to show.

A server, a job or a file name can carry terminal escapes that move the cursor, change the title or
write to the clipboard, and signs that turn the direction of writing. They are shown, not obeyed.
"""

from __future__ import annotations

import re

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_SURROGATE = re.compile("[\ud800-\udfff]")

_BYTES = 1000.0


def clean(text: object) -> str:
    r"""Make text of several lines safe to show; line ends of every kind become newlines.

    >>> clean("a\x1b[2Jb\r\nc\rd")
    'a\\x1b[2Jb\nc\nd'
    """
    whole = str(text).replace("\r\n", "\n").replace("\r", "\n")
    return _SURROGATE.sub("\ufffd", _CONTROL.sub(_shown, whole))


def clean_line(text: object, most: int = 500) -> str:
    r"""Make text safe to show within one line, shortened if need be.

    >>> clean_line("a\nb\tc"), clean_line("abcdef", 4)
    ('a b c', 'abc…')
    """
    line = " ".join(clean(text).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def size_text(size: float) -> str:
    """Write a number of bytes.

    >>> size_text(999), size_text(2_500_000)
    ('999 B', '2.5 MB')
    """
    for unit in ("B", "kB", "MB"):
        if size < _BYTES:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= _BYTES
    return f"{size:.1f} GB"


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
