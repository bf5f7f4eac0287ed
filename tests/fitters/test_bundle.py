"""The zip application: the same bytes, in a house of its own, for any Python from 3.10."""

import ast
import importlib.util
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fitters.bundle import HERE, build_driver, own_sources

from .job_folder import make_job

STRANGER = """
import sys

from fitters.base import Document, FitError, Job, Option, Report


class Echo:
    name = "echo"
    title = "Echo"
    options = (Option(name="word", type="str", default="", label="Word"),)
    shape = "single"
    resources = {}
    output_type = "generic"

    def fit(self, job: Job, report: Report) -> Document:
        if "fitters" in sys.modules:
            raise FitError("the house name leaked")
        word = job.document["options"]["word"]
        return {"status": "done", "verdict": {"code": "evaluated", "text": word}}
"""


def test_the_same_sources_give_the_same_bytes() -> None:
    code = (
        "import sys, hashlib\nfrom fitters.bundle import build_driver\n"
        "print(hashlib.sha256(build_driver()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": str(seed)},
            cwd=HERE.parent,
        ).stdout
        for seed in (1, 2)
    }
    assert len(digests) == 1


def test_the_driver_has_one_name_of_its_own() -> None:
    archive = zipfile.ZipFile(io.BytesIO(build_driver({})))
    tops = {name.partition("/")[0] for name in archive.namelist()}
    assert tops == {"__main__.py", "gateway_driver"}


LOOK = """
import sys
sys.path.insert(0, sys.argv[1])
from gateway_driver import driver
print(driver.DONE, "compiled before" if driver.__doc__ is None else "compiled now")
"""


def look_into(driver: bytes, folder: Path) -> str:
    """Import the driver's modules; byte code has no docstrings."""
    path = folder / "driver.pyz"
    path.write_bytes(driver)
    command = [sys.executable, "-I", "-c", LOOK, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def changed(driver: bytes, name: str, old: bytes, new: bytes) -> bytes:
    """Build the zip again with something replaced in a member."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(driver)) as before, zipfile.ZipFile(made, "w") as after:
        for member in before.namelist():
            content = before.read(member)
            if member == name:
                assert old in content
                content = content.replace(old, new, 1)
            after.writestr(member, content)
    return made.getvalue()


def test_modules_come_as_byte_code_that_counts_only_beside_its_source(tmp_path: Path) -> None:
    driver, module = build_driver({}), "gateway_driver/driver.py"
    assert look_into(driver, tmp_path) == "0 compiled before"
    other_source = changed(driver, module, b"= 0, 3, 4, 143", b"= 5, 3, 4, 143")
    assert look_into(other_source, tmp_path) == "5 compiled now"


def test_another_version_of_python_takes_the_sources(tmp_path: Path) -> None:
    magic = importlib.util.MAGIC_NUMBER
    driver = changed(build_driver({}), "gateway_driver/driver.pyc", magic, b"\x01\x02\r\n")
    assert look_into(driver, tmp_path) == "0 compiled now"


def test_a_copy_for_each_job_is_small() -> None:
    assert len(build_driver({})) < 400_000


@pytest.mark.parametrize("path", own_sources(), ids=lambda path: path.name)
def test_modules_import_ours_relatively_and_are_python_3_10(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 10))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            assert (node.module or "").partition(".")[0] not in {"fitters", "gateway", "scheduler"}


def test_it_runs_where_nothing_of_ours_is_installed(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job")
    code = (
        "import runpy, sys\n"
        "sys.path = [p for p in sys.path if 'main' != p.rpartition('/')[2]]\n"
        "sys.argv = ['driver.pyz', '.']\n"
        "try:\n    import fitters\nexcept ModuleNotFoundError:\n    pass\n"
        "else:\n    sys.modules.pop('fitters')\n"
        "sys.meta_path.insert(0, type('Block', (), {'find_spec': staticmethod(\n"
        "    lambda name, *a: (_ for _ in ()).throw(ImportError(name))\n"
        "    if name.partition('.')[0] in {'fitters', 'gateway', 'scheduler'} else None)}))\n"
        "runpy.run_path('driver.pyz', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        cwd=job.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert job.result()["status"] == "done"


def test_a_strangers_kind_goes_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "lib" / "echo_kind"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "echo.py").write_text(STRANGER)
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    job = make_job(
        tmp_path / "job",
        kind="echo",
        options={"word": "hello"},
        extra_modules={"echo": "echo_kind.echo:Echo"},
    )
    job.run()
    assert job.result()["verdict"] == {"code": "evaluated", "text": "hello"}


def test_a_kind_without_source_is_refused() -> None:
    with pytest.raises(ValueError, match="no_such_module"):
        build_driver({"x": "no_such_module.sub:Kind"})
