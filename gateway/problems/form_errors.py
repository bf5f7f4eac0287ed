"""Which field of the form an error is about: from the pointers of the documents to flat names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from gateway.errors import FieldError
from gateway.problems.form_reading import Values

_PLACES = (
    (r"/curve/file", "data_file"),
    (r"/curve/data.*|/data.*", "data_text"),
    (r"/curve/columns/(x|y|dx)", r"\1"),
    (r"/curve/columns/dy/column", "dy_column"),
    (r"/curve/columns/dy/value", "dy_value"),
    (r"/curve/columns/dy.*", "dy_from"),
    (r"/curve/columns.*", "others"),
    (r"/curve/mask.*", "mask"),
    (r"/curve/expression", "expression"),
    (r"/curve/function/(peaks|shape|background)", r"\1"),
    (r"/curve/function", "function"),
    (r"/curve/parameters/(\d+)/bounds/1", r"p.\1.high"),
    (r"/curve/parameters/(\d+)/bounds.*", r"p.\1.low"),
    (r"/curve/parameters/(\d+)/prior/std", r"p.\1.std"),
    (r"/curve/parameters/(\d+)/prior.*", r"p.\1.mean"),
    (r"/curve/parameters/(\d+)/tie", r"p.\1.tie"),
    (r"/curve/parameters/(\d+).*", r"p.\1.value"),
    (r"/curve/parameters", "parameters"),
    (r"/json.*", "json_file"),
    (r"/script/args.*", "args"),
    (r"/script/entry", "entry"),
    (r"/script.*", "files"),
    (r"/name", "title"),
    (r"/problem.*", "problem"),
    (r"/options/fit", "fit"),
    (r"/simulate.*", "noise"),
    (r"/campaign/random", "random_starts"),
    (r"/campaign/(starts|grid).*", r"\1"),
    (r"/campaign", "campaign"),
    (r"/(pack|throttle)", r"\1"),
    (r"/expert/directives/([^/]+).*", r"x.\1"),
    (r"/expert.*", "lines"),
    (r"/after/kind", "after_kind"),
    (r"/after.*", "after"),
    (r"/(seed|mode|cluster|proposal|title|notes|tags|kind)(/.*)?", r"\1"),
)
_COMPILED = tuple((re.compile(pattern), name) for pattern, name in _PLACES)
_OPTION = re.compile(r"/options/(.+)")
_RESOURCE = re.compile(r"/resources/([^/]+).*")


def field_of(pointer: str, values: Values) -> str:
    """Name the field that a pointer is about; empty for the form as a whole.

    >>> field_of("/curve/parameters/2/bounds", {}), field_of("/options/steps", {"fit": "lm"})
    ('p.2.low', 'o.lm.steps')
    >>> field_of("/curve/parameters/2/bounds/0", {}), field_of("/curve/parameters/2/bounds/1", {})
    ('p.2.low', 'p.2.high')
    """
    if found := _OPTION.fullmatch(pointer):
        if found[1] == "fit":
            return "fit"
        kind = values.get("kind") or "fit"
        return f"o.{values.get('fit', '') if kind == 'fit' else kind}.{found[1]}"
    if found := _RESOURCE.fullmatch(pointer):
        return f"r.{found[1]}"
    for pattern, name in _COMPILED:
        if found := pattern.fullmatch(pointer):
            return found.expand(name)
    return ""


def by_field(
    errors: Iterable[FieldError], values: Values, shown: Sequence[int] = ()
) -> dict[str, list[str]]:
    """Sort errors by the field where they are said.

    Parameters
    ----------
    shown
        Which line of the table each parameter of the document stands in.
    """
    found: dict[str, list[str]] = {}
    for error in errors:
        name = _shifted(field_of(error.pointer, values), shown)
        said = found.setdefault(name, [])
        if error.detail not in said:
            said.append(_sentence(error.detail))
    return found


def _shifted(name: str, shown: Sequence[int]) -> str:
    if not name.startswith("p."):
        return name
    _, number, field = name.split(".", 2)
    index = int(number)
    return f"p.{shown[index]}.{field}" if index < len(shown) else name


def _sentence(text: str) -> str:
    first = text.partition(" ")[0]
    start = first.capitalize() if first.isalpha() and len(first) > 1 else first
    return start + text[len(first) :] + ("" if text.endswith((".", "!", "?")) else ".")


def of_typed(found: dict[str, list[str]], values: Values) -> dict[str, list[str]]:
    """Leave out what is wrong only because it is not typed yet."""
    always = ("", "parameters", "fit", "dy_from", "noise")
    return {
        name: texts
        for name, texts in found.items()
        if name in always or values.get(name, "").strip() or values.get(_file(name))
    }


def _file(name: str) -> str:
    places = {"data_text": "data_digest", "json_file": "json_digest", "files": "f.0.digest"}
    return places.get(name, name)
