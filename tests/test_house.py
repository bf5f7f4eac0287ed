"""The house rules that no linter knows."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gateway.jobs

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("gateway", "scheduler", "fitters", "client", "tools", "benchmarks")
PYTHON = sys.executable

BROAD: dict[str, str] = {
    "gateway/clusters/probes.py": "the outermost frame of a look, whose wish must not stay",
    "gateway/jobs/care.py": "the outermost frame of a job, which must not hold up others",
    "gateway/jobs/reconcile.py": "the outermost frame of a place, which must not hold up others",
    "gateway/notifications/courier.py": "the outermost frame of a message; others wait behind it",
    "gateway/worker.py": "the outermost frame of a round, which must not end the loop",
    "scheduler/link.py": "a line that was left in mid-speech is closed, and the error goes on",
    "scheduler/submitter.py": "the outermost frame of a forked process, which must not return",
    "scheduler/deadlines.py": "whoever waits for a thread gets its error, whatever it is",
    "fitters/driver.py": "the driver's outermost frame",
    "fitters/crew.py": "the outermost frame of a forked process, which must not return",
    "client/bumps_remote/checker.py": "the user's own model is loaded in there",
    "fitters/bumps_run.py": "the user's own model runs in there",
    "fitters/bumps_result.py": "the user's own model runs in there",
    "fitters/user_errors.py": "the user's own model is loaded in there",
    "fitters/bumps_session.py": "bumps cannot save every model, and says so in many ways",
}
"""Where everything may be caught, and why."""

LONGEST = 35
LONG: dict[str, str] = {
    "gateway/problems/functions.py:_all_functions": "a table, a line or two for each function",
    "gateway/jobs/service.py:__init__": "where the parts that jobs are asked for with meet",
    "gateway/services.py:open_gateway": "where all parts of the gateway meet",
    "gateway/web/openapi.py:make_app": "where all parts of the description meet",
    "gateway/jobs/job_view.py:job_page": "a table, a line for each thing on the page",
    "client/bumps_remote/connection.py:submit": "what scientists type, and its checks",
}
"""Functions of more lines, besides their docstrings, and why."""

UNSAFE = {"pickle", "cPickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}
HEAVY = {"bumps", "refl1d", "sasmodels", "numpy", "scipy", "h5py", "sklearn", "matplotlib"}


def modules(*rooms: str) -> list[Path]:
    """List the modules of rooms, without what somebody built or installed in them."""
    return [
        path
        for room in rooms
        for path in sorted((ROOT / room).rglob("*.py"))
        if not {"build", ".venv", "__pycache__"} & set(path.relative_to(ROOT).parts)
    ]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(path: Path) -> set[str]:
    """Name the top-level packages that a module imports, at its top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def tracked() -> list[Path]:
    # A clone may belong to another account than the one that runs its tests.
    listed = subprocess.run(
        ["/usr/bin/env", "git", "-c", "safe.directory=*", "ls-files", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert listed.returncode == 0, listed.stderr
    found = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in found if path.is_file()]


def tracked_texts() -> Iterator[tuple[str, str]]:
    for path in tracked():
        content = path.read_bytes()
        if b"\0" not in content:
            yield name_of(path), content.decode("utf-8")


def test_imports_go_one_way() -> None:
    done = subprocess.run(
        [str(Path(PYTHON).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr


def test_no_module_hides_a_library_that_it_imports() -> None:
    hidden = [name_of(path) for path in modules(*ROOMS) if path.stem in imported(path)]
    assert hidden == []


def test_a_long_module_says_why() -> None:
    silent = []
    for path in modules(*ROOMS):
        text = path.read_text(encoding="utf-8")
        docstring = ast.get_docstring(ast.parse(text)) or ""
        if len(text.splitlines()) > 400 and not re.search(r"\blong\b", docstring, re.IGNORECASE):
            silent.append(f"{name_of(path)}: {len(text.splitlines())} lines")
    assert silent == []


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function without its docstring."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        lines -= (function.body[0].end_lineno or 0) - function.body[0].lineno + 1
    return lines


def test_a_long_function_says_why() -> None:
    long = {
        f"{name_of(path)}:{node.name}"
        for path in modules(*ROOMS)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and lines_of(node) > LONGEST
    }
    assert long == set(LONG)


def test_the_map_of_the_largest_part_names_all_its_modules() -> None:
    alike = {"__init__", "models", "schemas", "store", "service", "api", "pages"}
    names = {path.stem for path in (ROOT / "gateway" / "jobs").glob("*.py")}
    named = set(re.findall(r"``([a-z_]+)``", gateway.jobs.__doc__ or ""))
    assert named == names - {"__init__"}
    assert alike <= names


def test_every_module_says_its_duty() -> None:
    silent = [
        name_of(path)
        for path in modules(*ROOMS, "tests")
        if (tree := ast.parse(path.read_text(encoding="utf-8"))).body
        and not ast.get_docstring(tree)
    ]
    assert silent == []


def catches_all(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(
        kind is None or (isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException"))
        for kind in kinds
    )


def test_everything_is_caught_only_in_the_listed_places() -> None:
    found = {
        name_of(path)
        for path in modules("gateway", "scheduler", "fitters", "client")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler) and catches_all(node)
    }
    assert found == set(BROAD)


def test_nothing_is_pickled_in_gateway_scheduler_and_client() -> None:
    found = {
        name_of(path): sorted(bad)
        for path in modules("gateway", "scheduler", "client")
        if (bad := imported(path) & UNSAFE)
    }
    assert found == {}


def test_gateway_and_scheduler_never_import_what_only_a_job_may() -> None:
    found = {
        name_of(path): sorted(bad)
        for path in modules("gateway", "scheduler")
        if (bad := imported(path) & HEAVY)
    }
    assert found == {}


def loaded_by(*names: str) -> set[str]:
    """Import modules in a fresh process and say which top-level packages that loaded."""
    program = (
        f"import sys\nfor name in {names!r}: __import__(name)\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [PYTHON, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("process", ["gateway.app", "gateway.worker", "gateway.cli"])
def test_no_process_of_the_gateway_loads_bumps_or_numpy(process: str) -> None:
    assert loaded_by(process) & HEAVY == set()


def test_a_web_process_loads_no_ssh() -> None:
    assert loaded_by("gateway.app") & {"paramiko", "pyslurm"} == set()


DECLARED = ["base", "kinds", "driver", "bundle", "bumps_fit", "bumps_options", "dummy"]
"""What the gateway reads of the fitters, and what a driver loads before it knows the job."""


def alone(names: list[str]) -> subprocess.CompletedProcess[str]:
    """Import modules where there is no other library; -S: no site-packages, -E: no PYTHONPATH."""
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfor n in {names!r}: __import__(n)"
    return subprocess.run(
        [PYTHON, "-S", "-E", "-P", "-c", program], capture_output=True, text=True, check=False
    )


def test_fitters_are_declared_with_the_standard_library_alone() -> None:
    done = alone([f"fitters.{name}" for name in DECLARED])
    assert done.returncode == 0, done.stderr


def test_the_scheduler_imports_with_the_standard_library_alone() -> None:
    # paramiko and pyslurm have one module each, and are imported nowhere else.
    rooms = [path for path in modules("scheduler") if not imported(path) & {"paramiko", "pyslurm"}]
    without = {"__init__", "ssh"}  # which is the shell on top of the module with paramiko
    done = alone([f"scheduler.{path.stem}" for path in rooms if path.stem not in without])
    assert done.returncode == 0, done.stderr


def test_the_cupboards_are_no_packages() -> None:
    assert list((ROOT / "templates").rglob("*.py")) + list((ROOT / "config").rglob("*.py")) == []


def test_no_other_distribution_owns_our_names() -> None:
    program = (
        "from importlib.metadata import packages_distributions as owners\n"
        "found = owners()\n"
        "for name in ('gateway', 'scheduler', 'fitters', 'bumps_remote'):\n"
        "    print(*sorted(set(found.get(name, [])) - {'bumps-gateway', 'bumps-remote'}))"
    )
    done = subprocess.run(
        [PYTHON, "-c", program], cwd="/", capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


# Written in pieces, or this file would name what it forbids.
ELSEWHERE = re.compile(
    r"(?<![\w.$}])/(?:work|root)/(?!\.ssh)[\w.]|"
    + "/opt/"
    + r"pypi|--(?:extra-)?index-url|py"
    + r"pi\.org/simple"
)


def test_tracked_files_name_no_machine_and_no_package_index() -> None:
    found = [
        f"{name}:{number}: {line.strip()[:80]}"
        for name, text in tracked_texts()
        if name != "tests/test_house.py"
        for number, line in enumerate(text.splitlines(), 1)
        if ELSEWHERE.search(line)
    ]
    assert found == []


def test_tracked_files_hold_no_private_key() -> None:
    # A form may show how a key begins; a key goes on.
    marker = "-----BEGIN " + r"[A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]{16}"
    found = [name for name, text in tracked_texts() if re.search(marker, text)]
    assert found == []


def test_tracked_text_ends_with_a_newline_and_no_line_with_a_blank() -> None:
    # Published data and recorded output of programs stay as they came.
    as_it_came = ("tests/data/", "tests/recorded/", "templates/html/static/vendor")
    found = [
        name
        for name, text in tracked_texts()
        if not name.startswith(as_it_came)
        and text
        and (not text.endswith("\n") or re.search(r"[ \t]$", text, re.MULTILINE))
    ]
    assert found == []


def test_tracked_files_are_not_large() -> None:
    large = [name_of(path) for path in tracked() if path.stat().st_size > 2_000_000]
    assert large == []


def test_programs_may_be_run() -> None:
    scripts = [
        path
        for path in tracked()
        if path.read_bytes()[:2] == b"#!"
        and path.suffix != ".j2"
        and "recorded" not in path.parts  # what the scheduler calls, not a person
    ]
    closed = [name_of(path) for path in scripts if not os.access(path, os.X_OK)]
    assert closed == []
    assert {".ci/run", "tools/system.sh"} <= {name_of(path) for path in scripts}
