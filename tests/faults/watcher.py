"""Looks at the store all the time, so that a state that comes and goes is seen."""

from __future__ import annotations

import threading
from pathlib import Path

import redis

from gateway.jobs.models import Job, Tracking
from scheduler.base import JobState
from scheduler.processes import having
from tests.faults.rig import Rig

_EVERY_S = 0.1
_FINAL = tuple(state.value for state in JobState if state.final)


class Watcher:
    """Remembers the first end of each job of a user, and what contradicts it later."""

    def __init__(self, rig: Rig, owner: str) -> None:
        self.ends: dict[str, str] = {}
        """Job -> the terminal state that was seen first."""

        self.changed: list[str] = []
        """Terminal states that did not stay."""

        self.lost: set[str] = set()
        """Jobs that their scheduler has forgotten, by the word of the gateway."""

        self.cancelled_but_running: list[str] = []
        self._store = rig.gateway.job_store
        self._owner = owner
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=30)

    @property
    def settled(self) -> set[str]:
        """Jobs of which nothing more is to be expected."""
        return self.lost | set(self.ends)

    def _run(self) -> None:
        while not self._over.wait(_EVERY_S):
            try:
                self.look()
            except redis.RedisError:
                continue  # the store is one of the victims

    def look(self) -> None:
        """Compare what the store says now with what it said before."""
        for job in self._store.newest(self._owner, None, None):
            if not job.final:
                if job.attempt.tracking is Tracking.LOST:
                    self.lost.add(job.id)
                if job.id in self.ends:
                    self.changed.append(f"{job.id}: {self.ends[job.id]}, then not final")
                continue
            state = job.attempt.state.value
            first = self.ends.setdefault(job.id, state)
            if first != state:
                self.changed.append(f"{job.id}: {first}, then {state}")
            elif state == JobState.CANCELLED.value and not job.attempt.native_id:
                continue
            elif state == JobState.CANCELLED.value and processes_of(job):
                self.cancelled_but_running.append(job.id)


def processes_of(job: Job) -> list[int]:
    """Find what runs of a job's current attempt, without its twins, which exit at once."""
    attempt = job.attempt
    own = [f"SLURM_JOB_ID={attempt.native_id}"] if attempt.native_id else []
    return having([f"SLURM_SUBMIT_DIR={Path(attempt.directory)}", *own])
