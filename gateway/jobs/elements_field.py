"""Elements of an array as they are sent: thousands of small rows, nearly all of them plain."""

from __future__ import annotations

import re
from typing import Any

from marshmallow import Schema, fields

from gateway.jobs.number_field import is_finite
from gateway.records import Document

LABEL = 200
FILE_NAME = 200
ARGUMENT = 1_000
DIGEST = re.compile(r"\A[0-9a-f]{64}\Z")
_NAMES = frozenset({"label", "files", "args", "start"})


class ElementsField(fields.Nested):
    """A list of elements: as its schema reads them, several times as fast where nothing is wrong.

    A row that is not plainly right is left to the schema with all others: it finds the words.
    """

    def __init__(self, schema: type[Schema], **options: Any) -> None:
        options["error_messages"] = {"type": "Not a valid list."}
        super().__init__(schema, many=True, load_default=list, **options)

    def _load(self, value: Any, *rest: Any, **more: Any) -> Any:
        rows = plain_rows(value)
        return super()._load(value, *rest, **more) if rows is None else rows


def plain_rows(value: Any) -> list[Document] | None:
    """Complete rows in which nothing is wrong; None when something may be.

    >>> plain_rows([{"label": "a", "start": [1, 2.5]}])
    [{'label': 'a', 'files': {}, 'args': None, 'start': [1.0, 2.5]}]
    >>> plain_rows([{"label": "a"}, {"lable": "b"}]) is None
    True
    """
    if type(value) is not list or not all(map(_is_plain, value)):
        return None
    return [
        {
            "label": row.get("label", ""),
            "files": dict(row.get("files", ())),
            "args": row.get("args"),
            "start": [float(number) for number in row.get("start", ())],
        }
        for row in value
    ]


def _is_plain(row: Any) -> bool:
    if type(row) is not dict or not row.keys() <= _NAMES:
        return False
    label, files = row.get("label", ""), row.get("files", {})
    args, start = row.get("args"), row.get("start", [])
    return (
        (type(label) is str and len(label) <= LABEL and label.isprintable())
        and (type(files) is dict and all(map(_is_plain_file, files.items())))
        and (args is None or (type(args) is list and all(map(_is_plain_argument, args))))
        and (type(start) is list and all(map(is_finite, start)))
    )


def _is_plain_file(named: tuple[Any, Any]) -> bool:
    name, digest = named
    plain = type(name) is str and type(digest) is str
    return plain and 1 <= len(name) <= FILE_NAME and DIGEST.match(digest) is not None


def _is_plain_argument(text: Any) -> bool:
    return type(text) is str and len(text) <= ARGUMENT
