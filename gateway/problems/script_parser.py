"""Parse model scripts in a process of its own: ``python -I -S script_parser.py``.

Reads ``{"entry": name, "modules": {name: source}}`` on stdin, writes what it found on stdout. The
standard library alone is imported, nothing of the gateway; limits are set before anything is read,
because the parser of Python itself can run out of stack or memory on hostile text.
"""

import ast
import json
import resource
import sys

MEMORY_BYTES = 512 * 1024 * 1024
CPU_S = 5
INPUT_BYTES = 64 * 1024 * 1024
LIST_LIMIT = 200
TEXT_LIMIT = 200


def main() -> int:
    """Parse what stands on stdin."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    request = json.loads(sys.stdin.buffer.read(INPUT_BYTES))
    modules = request["modules"]
    found = {name: examine(name, source) for name, source in modules.items()}
    sys.stdout.write(json.dumps(found))
    return 0


def examine(name: str, source: str) -> dict[str, object]:
    """Say what a script imports, opens and assigns; or where it is no Python."""
    try:
        tree = ast.parse(source, filename=name)
    except SyntaxError as error:
        return {
            "error": str(error.msg)[:TEXT_LIMIT],
            "line": error.lineno or 1,
            "column": error.offset or 1,
            "text": (error.text or "").strip()[:TEXT_LIMIT],
        }
    except (ValueError, MemoryError, RecursionError) as error:
        return {"error": f"{type(error).__name__}: {error}"[:TEXT_LIMIT], "line": 1, "column": 1}
    nodes = list(ast.walk(tree))
    return {
        "imports": sorted({part for node in nodes for part in imports(node)})[:LIST_LIMIT],
        "opens": sorted({part for node in nodes for part in file_names(node)})[:LIST_LIMIT],
        "problem": any(assigns_problem(node) for node in tree.body),
    }


def imports(node: ast.AST) -> list[str]:
    """Give the modules that a statement imports; relative ones begin with a dot."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        dots = "." * node.level
        if node.module is None:
            return [dots + alias.name for alias in node.names]
        return [dots + node.module]
    return []


READERS = {"open", "loadtxt", "genfromtxt", "load", "fromfile", "read_csv", "read_text", "load4"}
READERS |= {"load_data", "Path", "read_bytes", "load_mlayer", "memmap", "parse_file", "fromtxt"}


def file_names(node: ast.AST) -> list[str]:
    """Give the file names that stand as text in a call that reads files."""
    if not isinstance(node, ast.Call) or not node.args:
        return []
    function = node.func
    called = getattr(function, "id", "") or getattr(function, "attr", "")
    first = node.args[0]
    if called not in READERS or not isinstance(first, ast.Constant):
        return []
    return [first.value[:TEXT_LIMIT]] if isinstance(first.value, str) and first.value else []


def assigns_problem(node: ast.AST) -> bool:
    """Say whether a statement at the top, or in an if, for or try there, assigns ``problem``."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and part.id == "problem" and isinstance(part.ctx, ast.Store):
            return True
        if isinstance(part, ast.ImportFrom | ast.Import):
            names = [alias.asname or alias.name for alias in part.names]
            if "problem" in names or "*" in names:
                return True
    return False


if __name__ == "__main__":
    sys.exit(main())
