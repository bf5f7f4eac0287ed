"""The gateway's hands on a login node: files, claims, and Slurm's commands, asked for in frames.

It is started once for each connection and lives as long as that. It decides nothing: it checks
files with the same code as local execution, calls Slurm's programs with a clean environment and a
deadline, and says what they said. It runs on what a login node has: Python 3.10, no packages.
"""

from __future__ import annotations

import json
import os
import pwd
import secrets
import select
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from scheduler import directory as job_directory
from scheduler import files, slurm_argv
from scheduler.base import Reading, SchedulerError, StagedFile
from scheduler.faults import crash_point
from scheduler.frames import Frame, FrameError, read_frame
from scheduler.look import loose
from scheduler.submitter import Commands, run_apart

_PLACES = "/usr/local/bin:/usr/bin:/bin:/usr/local/slurm/bin:/opt/slurm/bin:/opt/slurm/current/bin"
_KEPT = ("HOME", "LOGNAME", "USER", "TZ", "SLURM_CONF")
_IDLE_S = 3600.0
_SMALL_BYTES = 1 << 20
_MEMORY_BYTES = 64 << 20
"""How much of what is staged is held in memory; the rest goes to the disk first."""

_OUTPUT_BYTES = 32 << 20
_WRITERS = 16
_COMPLAINT_CHARACTERS = 65_536
_OLD_S = 86_400.0


class Agent:
    """Answers requests, one after the other."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._base = Path("/nonexistent")
        self._commands = Commands(paths={}, environment={}, timeout_s=60.0)
        self._verbs: dict[str, Callable[[Frame], Frame]] = {
            "hello": self._hello,
            "ping": lambda _: Frame(document={}),
            "stage": self._stage,
            "claim": self._claim,
            "traces": self._traces,
            "read": self._read,
            "read_many": self._read_many,
            "listing": self._listing,
            "remove": self._remove,
            "run": self._run,
            "submit": self._submit,
        }

    def serve(self) -> None:
        """Answer until the line is closed."""
        while True:
            frame = self._line.receive()
            try:
                answer = self._verbs[str(frame.document.get("verb"))](frame)
            except (SchedulerError, OSError, KeyError, ValueError, TypeError) as error:
                text = str(error) if isinstance(error, SchedulerError) else repr(error)
                answer = Frame(document={"error": text})
            try:
                self._line.send(answer)
            except FrameError as error:  # nothing of it was sent yet
                self._line.send(Frame(document={"error": str(error)}))

    def _hello(self, frame: Frame) -> Frame:
        wanted = frame.document
        os.umask(0o077)
        os.environ.update({name: str(text) for name, text in wanted["variables"].items()})
        self._base = Path(wanted["base"])
        if not self._base.is_absolute():
            raise SchedulerError(f"the base directory {self._base} is not an absolute path")
        if wanted["private"]:
            self._insist_on_private_base()
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment |= {"PATH": _PLACES, **slurm_argv.ENVIRONMENT}
        if wanted["slurm_conf"]:
            environment["SLURM_CONF"] = wanted["slurm_conf"]
        places = wanted["programs"] or _PLACES
        found = {
            name: shutil.which(name, path=places)
            for name in (*slurm_argv.COMMANDS, *slurm_argv.OPTIONAL)
        }
        self._commands = Commands(
            paths={name: path for name, path in found.items() if path},
            environment=environment,
            timeout_s=float(wanted["command_timeout_s"]),
        )
        return Frame(
            document={
                "python": sys.version.split()[0],
                "host": os.uname().nodename,
                "uid": os.getuid(),
                "account": _account(),
                "pid": os.getpid(),
                "programs": found,
            }
        )

    def _insist_on_private_base(self) -> None:
        """Refuse a base where another account could put its job in place of one of ours."""
        try:
            self._base.mkdir(mode=0o700, parents=True, exist_ok=True)
            trouble = loose(self._base)
        except OSError as error:
            raise SchedulerError(f"the base directory cannot be made: {error}") from error
        if trouble:
            raise SchedulerError(f"others could put jobs into the base directory: {trouble}")

    # Files

    def _beneath(self, text: str) -> Path:
        """Take only directories of jobs: whatever is asked, nothing else is touched."""
        path = PurePosixPath(text)
        if ".." in path.parts or self._base not in Path(path).parents:
            raise SchedulerError(f"{text} does not lie beneath {self._base}")
        return Path(path)

    def _stage(self, frame: Frame) -> Frame:
        """Make directories from the parts that follow, each part sent once however often used."""
        with self._parts() as parts:
            self._receive_parts(parts)
            # Side by side: waiting for the disk takes nearly all the time, and is shared.
            with ThreadPoolExecutor(max_workers=_WRITERS) as pool:
                for _ in pool.map(lambda job: self._stage_one(job, parts), frame.document["jobs"]):
                    pass
        crash_point("slurm-agent-staged")
        return Frame(document={})

    def _stage_one(self, job: Mapping[str, Any], parts: Parts) -> None:
        staged = tuple(
            StagedFile(
                path=PurePosixPath(file["path"]),
                sha256=file["sha256"],
                mode=int(file["mode"]),
                **parts.get(file["part"]),
            )
            for file in job["files"]
        )
        files.stage(self._beneath(job["directory"]), staged)

    @contextmanager
    def _parts(self) -> Iterator[Parts]:
        folder = self._base / ".incoming"
        _sweep(folder)
        parts = Parts(folder / secrets.token_hex(8))
        try:
            yield parts
        finally:
            parts.remove()

    def _receive_parts(self, parts: Parts) -> None:
        """Take all that was announced, also after an error, or the line would be out of step."""
        trouble: OSError | ValueError | None = None
        while True:
            frame = self._line.receive()
            if "part" not in frame.document:
                break
            if trouble is None:
                try:
                    parts.add(str(frame.document["part"]), frame.blob)
                except (OSError, ValueError) as error:
                    trouble = error
        if trouble is not None:
            raise SchedulerError(f"{self._base} cannot take the files: {trouble}")

    def _claim(self, frame: Frame) -> Frame:
        wanted = frame.document
        directory, try_number = self._beneath(wanted["directory"]), int(wanted["try_number"])
        try:
            owner = job_directory.take_claim(directory, try_number, wanted["owner"], self._base)
        except OSError as error:
            raise SchedulerError(f"claim.{try_number} cannot be taken: {error}") from error
        return Frame(document={"owner": owner})

    def _traces(self, frame: Frame) -> Frame:
        rows = [(self._beneath(row[0]), int(row[1])) for row in frame.document["wanted"]]
        found = [job_directory.read_trace(directory, number) for directory, number in rows]
        return Frame(document={"traces": [asdict(trace) for trace in found]})

    def _read(self, frame: Frame) -> Frame:
        wanted = frame.document
        content = files.read_beneath(
            self._beneath(wanted["directory"]),
            wanted["path"],
            int(wanted["offset"]),
            int(wanted["limit_bytes"]),
        )
        return Frame(document={"found": content is not None}, blob=content or b"")

    def _read_many(self, frame: Frame) -> Frame:
        """Send what could be read as one piece, and of each part its place in it."""
        wanted = [
            Reading(
                directory=PurePosixPath(self._beneath(row[0])),
                path=row[1],
                offset=int(row[2]),
                limit_bytes=int(row[3]),
            )
            for row in frame.document["wanted"]
        ]
        numbers = {reading: number for number, reading in enumerate(wanted)}
        sizes, parts = [], []
        for reading, content in files.read_all(wanted, int(frame.document["budget_bytes"])):
            sizes.append([numbers[reading], None if content is None else len(content)])
            parts.append(content or b"")
        return Frame(document={"sizes": sizes}, blob=b"".join(parts))

    def _listing(self, frame: Frame) -> Frame:
        wanted = frame.document
        directory = self._beneath(wanted["directory"])
        entries = files.list_beneath(directory, int(wanted["limit"]), wanted["keep"])
        rows = [[entry.path, entry.size, entry.regular] for entry in entries]
        return Frame(document={}, blob=json.dumps(rows, ensure_ascii=False).encode())

    def _remove(self, frame: Frame) -> Frame:
        directory = self._beneath(frame.document["directory"])
        try:
            files.remove_tree(directory)
        except OSError as error:
            raise SchedulerError(f"{directory} cannot be removed: {error}") from error
        return Frame(document={})

    # Slurm

    def _run(self, frame: Frame) -> Frame:
        """Run one of Slurm's programs that only ask, or that may be asked twice."""
        argv = [str(word) for word in frame.document["argv"]]
        answer = self._commands.run(argv)
        if len(answer.stdout) > _OUTPUT_BYTES:
            raise SchedulerError(f"{argv[0]} printed {len(answer.stdout)} characters")
        return Frame(
            document={
                "status": answer.status,
                "stderr": answer.stderr[-_COMPLAINT_CHARACTERS:],
                "now": time.time(),
            },
            blob=answer.stdout.encode(),
        )

    def _submit(self, frame: Frame) -> Frame:
        """Let another process submit, and pass its outcomes on as they come."""
        launches = frame.document["launches"]
        for launch in launches:
            self._beneath(launch["directory"])
        crash_point("slurm-agent-asked")
        pid, reader = run_apart(self._commands, launches, int(frame.document["parallel"]))
        crash_point("slurm-agent-begun")
        try:
            for line in self._lines(reader):
                document = json.loads(line)
                if "broken" in document:
                    raise SchedulerError(f"the submitter broke: {document['broken']}")
                self._line.send(Frame(document=document))
                crash_point("slurm-agent-told")
        finally:
            os.close(reader)
        os.waitpid(pid, 0)
        crash_point("slurm-agent-done")
        return Frame(document={"done": True})

    def _lines(self, reader: int) -> Iterator[bytes]:
        """Read whole lines, unless the gateway is lost meanwhile."""
        rest = b""
        while True:
            ready, _, _ = select.select([reader, self._line.incoming], [], [])
            if self._line.incoming in ready:
                leave()  # it sends nothing before the answer, so this is the end of the line
            data = os.read(reader, 1 << 16)
            if not data:
                return
            *whole, rest = (rest + data).split(b"\n")
            yield from whole


class Parts:
    """Contents that are to be staged: small ones in memory, others in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._memory: dict[str, bytes] = {}
        self._held_bytes = 0

    def add(self, name: str, data: bytes) -> None:
        """Take more of a part."""
        path = self._folder / name
        so_far = self._memory.get(name, b"")
        fits = self._held_bytes + len(data) <= _MEMORY_BYTES
        if fits and len(so_far) + len(data) <= _SMALL_BYTES and not path.exists():
            self._memory[name] = so_far + data
            self._held_bytes += len(data)
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("ab") as stream:
            self._memory.pop(name, None)
            stream.write(so_far + data)

    def get(self, name: str) -> Mapping[str, Any]:
        """Say where a part is, in the words of `StagedFile`."""
        if name in self._memory:
            return {"content": self._memory[name]}
        return {"source": PurePosixPath(self._folder / name)}

    def remove(self) -> None:
        """Remove what lies on the disk; what cannot be removed now is swept later."""
        with suppress(OSError, SchedulerError):
            files.remove_tree(self._folder)


class Line:
    """The two pipes to the gateway."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self.incoming = incoming
        self._outgoing = outgoing
        self._exchange = 0

    def receive(self) -> Frame:
        """Wait for a request; end this process when none can come any more."""
        frame = read_frame(self._exactly)
        # What follows a request, like the parts of a staging, has no number of its own.
        self._exchange = frame.document.get("exchange", self._exchange)
        return frame

    def _exactly(self, count: int) -> bytes:
        pieces = []
        while count:
            # A line that was cut without a word would keep this process for ever.
            ready, _, _ = select.select([self.incoming], [], [], _IDLE_S)
            piece = os.read(self.incoming, min(count, 1 << 20)) if ready else b""
            if not piece:
                leave()
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)

    def send(self, frame: Frame) -> None:
        """Answer, with the number of what was asked last."""
        document = {**frame.document, "exchange": self._exchange}
        rest = memoryview(Frame(document=document, blob=frame.blob).encode())
        while rest:
            rest = rest[os.write(self._outgoing, rest) :]


def leave() -> NoReturn:
    """End at once: whatever is half done is found half done, as after a cut."""
    os._exit(0)


def _account() -> str:
    with suppress(KeyError):
        return pwd.getpwuid(os.getuid()).pw_name
    return str(os.getuid())


def _sweep(folder: Path) -> None:
    """Remove what connections that were cut long ago had brought, where that can be done."""
    with suppress(OSError):
        for path in folder.iterdir():
            with suppress(OSError, SchedulerError):
                if time.time() - path.lstat().st_mtime > _OLD_S:
                    files.remove_tree(path)


def main() -> None:
    """Talk over standard input and output; whatever else is printed goes to standard error."""
    outgoing = os.dup(1)
    os.dup2(2, 1)
    try:
        Agent(Line(0, outgoing)).serve()
    except BrokenPipeError:
        leave()
