"""A kind of job that waits: the health check uses it, and strangers may start from it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Literal

from .base import Document, FitError, Job, Option, Report


class DummyFitter:
    """Counts its steps, takes its time and succeeds.

    A kind of job is such a class: it says its options as data, imports what it needs inside `fit`,
    asks ``job.stopping()`` often, reports its steps and returns the result document. Registered
    under the entry point group ``gateway.fitters`` it gets its form, its API and its script.
    """

    name = "dummy"
    title = "Dummy"
    shape: Literal["single", "array", "array-reduce"] = "array"
    output_type = "generic"
    resources: Mapping[str, str | int] = {"time": "0:10:00", "cpus_per_task": 1}
    options = (
        Option(
            name="seconds",
            type="float",
            default=1.0,
            label="Seconds",
            help="How long to take.",
            minimum=0,
            maximum=86400,
            unit="s",
        ),
        Option(
            name="steps",
            type="int",
            default=10,
            label="Steps",
            help="How many steps to report in that time.",
            minimum=1,
            maximum=100000,
        ),
    )

    def fit(self, job: Job, report: Report) -> Document:
        """Wait and count, until done or asked to stop."""
        options = {option.name: option.default for option in self.options}
        options |= job.document.get("options", {})
        seconds, steps = float(options["seconds"]), int(options["steps"])
        if seconds < 0 or steps < 1:
            raise FitError(f"seconds must not be negative and steps at least 1, not {options}")
        begun = time.monotonic()
        report("start", method=self.name, steps=steps)
        done = 0
        while done < steps and not job.stopping():
            done += self._wait_for(begun + seconds * (done + 1) / steps, job)
            report("step", step=done, steps=steps)
        return self._result(options, done, time.monotonic() - begun)

    @staticmethod
    def _wait_for(moment: float, job: Job) -> int:
        """Sleep in small pieces; 1 when the moment came, 0 when asked to stop before."""
        while (left := moment - time.monotonic()) > 0:
            if job.stopping():
                return 0
            time.sleep(min(left, 0.1))
        return 1

    @staticmethod
    def _result(options: Document, done: int, seconds: float) -> Document:
        complete = done >= int(options["steps"])
        text = f"Counted {done} steps in {seconds:.1f} s."
        return {
            "status": "done" if complete else "stopped",
            "verdict": {"code": "evaluated" if complete else "stopped", "text": text},
            "options": options,
            "steps": done,
            "time_s": seconds,
        }
