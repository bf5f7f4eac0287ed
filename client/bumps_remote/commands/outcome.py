"""What a command says and answers when a job has ended."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import click
from rich.console import RenderableType
from rich.text import Text

from bumps_remote.commands.common import answer
from bumps_remote.errors import JobFailedError, NotFoundError, UsageError
from bumps_remote.fetch import WHY_NOT, Fetched
from bumps_remote.job import Job, succeeded
from bumps_remote.show import FitProgress, job_lines, notice, out
from bumps_remote.tables import results_tables
from bumps_remote.text import clean_line
from bumps_remote.transport import Document

_UNFINISHED = frozenset({"not_converged", "stopped", "time_limit"})
_SESSION = "out/session.h5"
_MESSAGE = "the job goes on; watch it: bumps-remote watch {id} · stop it: bumps-remote stop {id}"


@contextmanager
def said_when_interrupted(text: str) -> Iterator[None]:
    """Let Ctrl-C end what is done here, and say what is left and how to come back to it."""
    try:
        yield
    except KeyboardInterrupt:
        notice(text)
        raise click.Abort from None


def left_alone(id: str) -> AbstractContextManager[None]:
    """Let Ctrl-C end what is done here with a job, and say that the job goes on."""
    return said_when_interrupted(_MESSAGE.format(id=id))


def fetched_later(id: str, folder: Path) -> AbstractContextManager[None]:
    """Let Ctrl-C end a fetch, and say that it can go on."""
    return said_when_interrupted(
        "interrupted: what has come stays here, and the fetch goes on from there by: "
        f"bumps-remote fetch {id} -o {shlex.quote(str(folder))}"
    )


def follow(job: Job, timeout_s: float | None, *, quiet: bool = False) -> Job:
    """Wait for a job with a progress bar; Ctrl-C leaves the job alone."""
    with left_alone(job.id), FitProgress(quiet=quiet) as progress:
        for event in job.events(timeout_s):
            progress.show(event)
    return job


def report(job: Job, fetched: Fetched | None = None, *, as_json: bool, quiet: bool = False) -> None:
    """Show what came out.

    Raises
    ------
    JobFailedError
        When the job did not end well: exit code 1, after everything was shown.
    """
    results = _results(job)
    if not quiet:
        _show(job, results, fetched, as_json=as_json)
    if not succeeded(job.document):
        raise JobFailedError(f"job {job.id} ended as {job.state}")


def say_submitted(job: Job, *, as_json: bool) -> None:
    """Answer a job that was made, and say how to look at it."""
    answer(job.document, [Text(job.id)], as_json=as_json)
    if not as_json:
        notice(f"watch it: bumps-remote watch {job.id}")


def default_folder(job: Job) -> Path:
    """Choose where a job's results go: named after its problem, and unique."""
    name = (job.document.get("problem") or {}).get("name") or job.document.get("title") or "fit"
    slug = re.sub(r"[^A-Za-z0-9]+", "-", str(name)).strip("-")[:40] or "fit"
    attempt = job.document.get("attempt") or 1
    return Path(f"{slug}-{job.id[-6:]}" + (f"-{attempt}" if attempt > 1 else ""))


def copy_session(fetched: Fetched, target: Path | None) -> None:
    """Put the fetched session where the user wants it as well.

    Raises
    ------
    UsageError
        When the job has left none.
    """
    source = fetched.folder / _SESSION
    if target is None:
        return
    if not source.is_file():
        raise UsageError(f"--session: the job left no {_SESSION}")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _show(job: Job, results: Document, fetched: Fetched | None, *, as_json: bool) -> None:
    document = {"job": job.document, "results": results.get("results", [])}
    if fetched:
        document["folder"] = str(fetched.folder)
    found = results.get("results", [])
    lines: list[RenderableType] = [*job_lines(job.document, with_result=bool(found))]
    lines += results_tables(found, out().width)
    answer(document, lines, as_json=as_json)
    _say_next(job)
    if fetched:
        say_fetched(fetched)


def _say_next(job: Job) -> None:
    """Say what to type where a fit wants to go on."""
    code = (job.document.get("verdict") or {}).get("code")
    if job.document.get("resumable") and code in _UNFINISHED:
        notice(f"to go on from there: bumps-remote resume {job.id}")


def free_folder(folder: Path, *, replace: bool) -> None:
    """Make sure that results can be put into a folder, before a fit takes its time.

    Raises
    ------
    UsageError
        When there is something in it.
    """
    if replace or not folder.exists():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise UsageError(
            f"{clean_line(folder)} is there already: name another folder with --output, or say "
            "--force to replace what is in it"
        )


def say_fetched(fetched: Fetched) -> None:
    """Say where files went."""
    notice(
        f"{len(fetched.files)} {'file' if len(fetched.files) == 1 else 'files'} in {fetched.folder}"
    )
    if fetched.refused:
        names = ", ".join(clean_line(name, 80) for name in fetched.refused)
        notice(f"left there, as pickles: {names}; {WHY_NOT}")
    if not fetched.complete:
        notice("the job left less than its own list of files says: look at what is there")


def _results(job: Job) -> Document:
    try:
        return job.results()
    except NotFoundError:
        return {}  # it left none: its state says why
