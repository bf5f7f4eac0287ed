"""Bring results home, open them, do them again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from bumps_remote import rerun as bundles
from bumps_remote.array import find_element, summaries
from bumps_remote.commands.common import answer, common, connect, print_json
from bumps_remote.commands.jobs import NEW_ATTEMPT, again
from bumps_remote.commands.outcome import (
    default_folder,
    fetched_later,
    said_when_interrupted,
    say_fetched,
)
from bumps_remote.commands.parameters import PLAIN, WHOLE, resource_options
from bumps_remote.completion import complete_job
from bumps_remote.connection import Connection
from bumps_remote.errors import JobFailedError, UsageError
from bumps_remote.job import Job
from bumps_remote.numbers import number
from bumps_remote.show import job_lines, notice, out
from bumps_remote.tables import results_tables, to_csv
from bumps_remote.text import clean
from bumps_remote.transferred import Transferred
from bumps_remote.view_client import VIEW, load_session

_SESSION = "session.h5"


@click.command()
@click.argument("id", shell_complete=complete_job)
@click.option("--element", metavar="N|LABEL", help="The whole result of one element of an array.")
@click.option("--csv", "as_csv", is_flag=True, help="The parameters with all digits, as CSV.")
@common
def results(
    id: str,
    element: str | None,
    url: str | None,
    *,
    as_csv: bool,
    insecure: bool,
    as_json: bool,
) -> None:
    """Show what came out of the job ID: parameters, chi-square; of an array, a line each."""
    with connect(url, insecure=insecure) as connection:
        job = connection.job(id)
        document = job.results()
        found = document["results"]
        if element is not None:
            found = [job.element(element)]
    if as_csv:
        click.echo(to_csv(found), nl=False)
        return
    head = job_lines(job.document, with_result=bool(found))
    lines: list[Any] = [*head, *results_tables(found, out().width)]
    answer(document if element is None else found[0], lines, as_json=as_json)


@click.command()
@click.argument("id", shell_complete=complete_job)
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Folder for the files.")
@click.option("--only", multiple=True, metavar="PATH", help="Only this file; may be repeated.")
@click.option(
    "--element",
    "elements",
    multiple=True,
    metavar="N|LABEL",
    help="Only the files of this element of an array; may be repeated.",
)
@click.option("--bundle", is_flag=True, help="Everything to do it again, as one zip.")
@click.option("--force", is_flag=True, help="Replace files that are there with another content.")
@click.option("--trust", is_flag=True, help="Also pickles, which run code when they are loaded.")
@common
def fetch(
    id: str,
    output: Path | None,
    only: tuple[str, ...],
    elements: tuple[str, ...],
    *,
    bundle: bool,
    force: bool,
    trust: bool,
    url: str | None,
    insecure: bool,
    as_json: bool,
) -> None:
    """Fetch the results of the job ID, each file checked against its digest."""
    with connect(url, insecure=insecure) as connection:
        job = connection.job(id)
        if bundle:
            path = connection.fetch_bundle(job.id, output or f"{default_folder(job)}.zip")
            answer({"job": job.id, "bundle": str(path)}, [Text(str(path))], as_json=as_json)
            return
        folder = output or default_folder(job)
        with fetched_later(job.id, folder), Transferred(quiet=as_json) as bar:
            fetched = connection.fetch(
                job.id, folder, only, elements=elements, replace=force, trust=trust, told=bar.told
            )
    document = {
        "job": job.id,
        "folder": str(fetched.folder),
        "files": [path.relative_to(fetched.folder).as_posix() for path in fetched.files],
        "complete": fetched.complete,
        "refused": list(fetched.refused),
    }
    answer(document, [Text(str(path)) for path in fetched.files], as_json=as_json)
    say_fetched(fetched)


@click.command("open")
@click.argument("id", shell_complete=complete_job)
@click.option("--element", metavar="N|LABEL", help="Which element of an array.")
@click.option("--with", "program", default="bumps", show_default=True, help="Or refl1d.")
@click.option(
    "--webview",
    "view",
    is_flag=False,
    flag_value=VIEW,
    metavar="[URL]",
    help=f"Show it in the web view that runs there; without a URL at {VIEW}.",
)
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Folder for the session.")
@click.option("--trust", is_flag=True, help="Also of a job that somebody else has shared.")
@common
def open_session(
    id: str,
    element: str | None,
    program: str,
    view: str | None,
    output: Path | None,
    url: str | None,
    *,
    trust: bool,
    insecure: bool,
    as_json: bool,
) -> None:
    """Fetch the session of the job ID and open it in your own bumps.

    Loading a session runs what its model has put into it.
    """
    found = shutil.which(program)
    if found is None and not view:
        raise UsageError(f"there is no program {program!r} on your PATH: install it, or use fetch")
    with connect(url, insecure=insecure) as connection:
        job = connection.job(id)
        if not trust:
            connection.require_own(job.document)
        name = _session_of(job, element)
        folder = output or default_folder(job)
        fetched = connection.fetch(job.id, folder, [name])
    session = fetched.files[0]
    if view:
        _show(job, session, view, as_json=as_json)
        return
    command = [str(found), f"--read-session={session.absolute()}"]
    if as_json:
        print_json({"job": job.id, "session": str(session), "command": command})
        return
    notice(" ".join(command))
    with suppress(KeyboardInterrupt):  # it is how a view is left, which hears it, too
        done = subprocess.run(command, check=False)
        if done.returncode:
            raise JobFailedError(f"{program} ended with {done.returncode}")


def _show(job: Job, session: Path, view: str, *, as_json: bool) -> None:
    kept = load_session(session, view)
    lines = [f"it is shown at {view}"]
    if kept is not None:
        lines.append(f"what was shown there before is in {kept}")
    document = {"job": job.id, "session": str(session), "webview": view}
    answer({**document, "kept": kept and str(kept)}, map(Text, lines), as_json=as_json)


def _session_of(job: Job, element: str | None) -> str:
    rows = summaries(job.results()["results"])
    if element is not None:
        return f"out/{find_element(rows, element)}/{_SESSION}"
    if rows:
        raise UsageError(
            f"each of the {len(rows)} elements has a session of its own: say which with "
            "--element N|LABEL"
        )
    return f"out/{_SESSION}"


@click.command()
@click.argument("id", shell_complete=complete_job)
@common
def script(id: str, url: str | None, *, insecure: bool, as_json: bool) -> None:
    """Print the batch script of the job ID."""
    with connect(url, insecure=insecure) as connection:
        document = connection.script(id)
    if as_json:
        print_json(document)
    else:
        click.echo(clean(document["script"]), nl=False)


@click.command()
@click.argument("target", metavar="ID|BUNDLE.zip", shell_complete=complete_job)
@click.option("--local", is_flag=True, help="Run the bundle here, and compare chi-square.")
@click.option("--python", default=sys.executable, help="With --local: a Python that has bumps.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="With --local: a new folder.")
@click.option("--tolerance", default=1e-6, show_default=True, help="Relative, of chi-square.")
@click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="Such as samples=1e5.")
@click.option("--seed", type=WHOLE)
@click.option("--failed", is_flag=True, help="Of an array, only the elements that are not done.")
@resource_options
@PLAIN
@NEW_ATTEMPT
@click.option("--wait/--no-wait", "waiting", default=False, help="Wait until it has ended.")
@common
def rerun(
    target: str,
    *,
    local: bool,
    python: str,
    output: Path | None,
    tolerance: float,
    url: str | None,
    insecure: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Run a job once more there; with --local, run a fetched bundle here and compare."""
    if local:
        _rerun_here(Path(target), python, output, tolerance, as_json=as_json)
        return
    if target.endswith(".zip"):
        raise UsageError("a bundle is run here: say --local")
    with connect(url, insecure=insecure) as connection:
        again(connection, target, Connection.rerun, given, as_json=as_json)


def _rerun_here(
    bundle: Path, python: str, output: Path | None, tolerance: float, *, as_json: bool
) -> None:
    if not bundle.is_file():
        raise UsageError(f"there is no file {bundle}: fetch one with 'fetch ID --bundle'")
    # A relative path of a command means a file, a bare name a program on PATH.
    program = os.path.abspath(python) if os.sep in python else python  # noqa: PTH100
    folder = output or Path(tempfile.mkdtemp(prefix="bumps-rerun-"))
    earlier = bundles.unpack(bundle, folder)
    if not earlier:
        raise UsageError(f"{bundle} holds no result to compare with")
    notice(f"running the model in {bundle.name}, as you, in {folder}")
    with said_when_interrupted(f"interrupted: what it has done until now is in {folder}"):
        bundles.run(folder, program, bundles.count_tasks(folder))
    found = bundles.compare(folder, earlier)
    same = all(item.same(tolerance) for item in found)
    rows = [{**vars(item), "difference": item.difference} for item in found]
    lines = [
        Text(
            f"{item.label}: chi² {number(item.before, 12)} then, {number(item.now, 12)} now"
            f" (relative difference {number(item.difference, 2)})"
        )
        for item in found
    ]
    document = json.loads(json.dumps({"folder": str(folder), "same": same, "results": rows}))
    answer(document, lines, as_json=as_json)
    if not same:
        raise JobFailedError(f"it does not come out the same within {tolerance:g}")
