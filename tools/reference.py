"""Write the reference pages in ``docs/`` from what the code declares.

``python -m tools.reference`` writes them, ``--check`` only says whether they are up to date.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from bumps_remote.cli import program as client_command

from gateway.app import create_app
from gateway.cli import main as gateway_command
from gateway.settings import load_settings

ROOT = Path(__file__).resolve().parent.parent
_NOTE = ".. Written by ``make docs``; change the code, not this page.\n"
_METHODS = ("get", "post", "put", "patch", "delete")
_KEY = re.compile(r"^(?P<key>\w+) = (?P<value>.*?)(?:\s{2,}#\s*(?P<words>.*))?$")


def pages() -> dict[str, str]:
    """Render every page by its file name."""
    return {
        "docs/configuration.rst": configuration(),
        "docs/cli.rst": command_line(),
        "docs/api.rst": api(),
    }


def heading(text: str, line: str) -> list[str]:
    """Make a heading."""
    return [text, line * len(text), ""]


def table(rows: Sequence[tuple[str, ...]], *titles: str) -> list[str]:
    """Make a list table, which needs no alignment by hand."""
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: auto", ""]
    for row in (titles, *rows):
        lines += [f"   {'*' if index == 0 else ' '} - {cell}" for index, cell in enumerate(row)]
    return [*lines, ""]


def configuration() -> str:
    """Render what a site can decide, from the comments of the files in ``config/``."""
    lines = [
        _NOTE,
        *heading("Configuration", "="),
        "A site's own file, named by ``GATEWAY_CONFIG``, holds only what differs from these",
        "defaults. ``GATEWAY_<SECTION>__<KEY>`` in the environment wins over both, such as",
        "``GATEWAY_SERVER__PORT=80``; ``GATEWAY_URL`` and ``GATEWAY_REDIS_URL`` are short for",
        "``server.url`` and ``redis.url``, and ``GATEWAY_STATE`` names the state directory. The",
        "one secret is in ``GATEWAY_SECRET_KEY`` or in ``secret.key`` of the state directory",
        "(``bumps-gateway init`` makes it), never in a configuration file.",
        "",
        "``[clusters.NAME]`` may stand there as often as there are sites.",
        "",
    ]
    for section, rows in _sections(_config("default.toml")):
        lines += [*heading(f"[{section}]", "-"), *table(rows, "key", "default", "meaning")]
    lines += [
        *heading("A cluster behind SSH", "-"),
        "``config/example.toml`` has all of it to copy from; the values here are its own.",
        "",
    ]
    for section, rows in _sections(_config("example.toml")):
        lines += [*heading(f"[{section}]", "~"), *table(rows, "key", "example", "meaning")]
    return _text(lines)


def _config(name: str) -> str:
    return (ROOT / "config" / name).read_text(encoding="utf-8")


def _text(lines: list[str]) -> str:
    text = "\n".join(line.rstrip() for part in lines for line in part.split("\n"))
    return text.rstrip() + "\n"


def _sections(text: str) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    for part in re.split(r"^\[", text, flags=re.MULTILINE)[1:]:
        name, _, body = part.partition("]\n")
        yield name, _keys(body.splitlines())


def _keys(lines: list[str]) -> list[tuple[str, ...]]:
    """Take each key with the words behind it and below them, or with the comment above it."""
    above: list[str] = []
    found: list[list[str]] = []
    for line in lines:
        if line.startswith("# "):
            above.append(line[2:])
        elif line.lstrip().startswith("# "):
            found[-1][2] += f" {line.lstrip()[2:]}"
        elif match := _KEY.match(line):
            # The names of a long list stand in the file itself.
            value = "[ ... ]" if match["value"] == "[" else match["value"]
            words = match["words"] or " ".join(above)
            found.append([f"``{match['key']}``", f"``{value}``", words])
            above = []
    return [tuple(row) for row in found]


def command_line() -> str:
    """Render every command of both programs with its options."""
    lines = [_NOTE, *heading("Command line", "=")]
    for program, command in (("bumps-gateway", gateway_command), ("bumps-remote", client_command)):
        lines += heading(program, "-")
        for context in _commands(program, command):
            lines += heading(context.command_path, "~")
            text = context.command.get_help(context)
            lines += ["::", "", *(f"    {line}" for line in text.split("\n")), ""]
    return _text(lines)


def _commands(
    name: str, command: click.Command, parent: click.Context | None = None
) -> Iterator[click.Context]:
    settings: dict[str, Any] = {"terminal_width": 96, "max_content_width": 96}
    context = click.Context(
        command, info_name=name, parent=parent, **{**settings, **command.context_settings}
    )
    yield context
    if isinstance(command, click.Group):
        for child_name, child in sorted(command.commands.items()):
            if not child.hidden:
                yield from _commands(child_name, child, context)


def api() -> str:
    """Render every route with what it takes and answers, from the OpenAPI document."""
    app = create_app(load_settings({"HOME": "/"}, with_secret=False))
    with app.app_context():
        spec: Any = app.spec
    lines = [
        _NOTE,
        *heading("HTTP API", "="),
        "The machine-readable form of this page is ``/api/v1/openapi.json`` (OpenAPI 3.1), and",
        "``/api/spec.html`` shows it without network. Errors are RFC 9457 problem details with",
        "``errors: [{pointer, detail}]`` and ``request_id``. ``Authorization: Bearer TOKEN`` says",
        "who asks; a stranger's object is 404. ``docs/contracts.rst`` says what the documents",
        "mean.",
        "",
    ]
    for tag in sorted({operation["tags"][0] for _, _, operation in _operations(spec)}):
        lines += heading(tag.lower(), "-")
        for path, method, operation in _operations(spec):
            if operation["tags"][0] == tag:
                lines += _operation(spec, f"{method.upper()} {path}", operation)
    return _text(lines)


def _operations(spec: Any) -> Iterator[tuple[str, str, Any]]:
    for path in sorted(spec["paths"]):
        for method in _METHODS:
            if method in spec["paths"][path]:
                yield path, method, spec["paths"][path][method]


def _operation(spec: Any, route: str, operation: Any) -> list[str]:
    scope = operation.get("x-scope")
    who = f"Needs the scope ``{scope}``." if scope else "For everybody."
    codes = ", ".join(f"{code}" for code in sorted(operation["responses"]))
    lines = [*heading(route, "~"), operation.get("summary", ""), who, f"Answers: {codes}.", ""]
    rows = [
        (f"``{one['name']}``", one["in"], _kind(spec, one.get("schema", {})))
        for one in operation.get("parameters", ())
        if one["in"] != "path"
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    schema = _resolve(spec, body.get("schema", {}))
    needed = schema.get("required", ())
    rows += [
        (f"``{name}``", "body, needed" if name in needed else "body", _kind(spec, value))
        for name, value in schema.get("properties", {}).items()
    ]
    return lines + (table(rows, "name", "where", "type") if rows else [])


def _resolve(spec: Any, schema: Any) -> Any:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    return spec["components"]["schemas"][reference.rpartition("/")[2]]


def _kind(spec: Any, schema: Any) -> str:
    """Say a type with its range in a few words."""
    if "$ref" in schema:
        return _kind(spec, _resolve(spec, schema)) + f" ({schema['$ref'].rpartition('/')[2]})"
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return " or ".join(dict.fromkeys(_kind(spec, one) for one in schema[word]))
    kinds = schema.get("type", "any")
    words = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    if "enum" in schema:
        words += ": " + ", ".join(
            f"``{value}``" if value != "" else "empty" for value in schema["enum"]
        )
    words += _range(schema)
    if "items" in schema:
        words += f" of {_kind(spec, schema['items'])}"
    return words


def _range(schema: Any) -> str:
    low = schema.get("minimum", schema.get("minLength", schema.get("minItems")))
    high = schema.get("maximum", schema.get("maxLength", schema.get("maxItems")))
    words = [
        f"{word} {value}" for word, value in (("from", low), ("to", high)) if value is not None
    ]
    return f" {' '.join(words)}" if words else ""


def main() -> None:
    """Write or check the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when stale")
    check = parser.parse_args().check
    stale = []
    for name, text in pages().items():
        path = ROOT / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                path.write_text(text, encoding="utf-8")
    if check and stale:
        sys.exit(f"stale: {', '.join(stale)}; run 'make docs'")
    print(*(f"wrote {name}" for name in stale), sep="\n")


if __name__ == "__main__":
    main()
