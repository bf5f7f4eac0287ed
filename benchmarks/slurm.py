"""What the gateway costs a Slurm site, beside Slurm's own commands in the same run.

Times of a computer with other work say little; the ratio of two that were taken in turns says
more, and processor time most.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.measure import Row
from benchmarks.requests import LINE, fill
from benchmarks.slurm_follow import measure_ends, measure_reading, measure_ticks
from benchmarks.slurm_site import bench_site
from benchmarks.slurm_submit import measure_outages, measure_submission

_KNOWN = 10


def measure_slurm(number: int) -> Iterator[list[Row]]:
    """Measure part by part.

    Parameters
    ----------
    number
        How many fits are submitted and then live; ten times as many are known.
    """
    with bench_site() as bench:
        api = bench.live.user()
        fit: dict[str, Any] = {"problem": {"id": api.problem(LINE)["id"]}, "options": {"fit": "lm"}}
        sample = api.wait(api.submit(**fit)["id"])
        if sample["state"] != "COMPLETED":
            raise RuntimeError(f"the first fit did not end well: {sample}")
        yield measure_submission(bench, api, fit, number)
        with bench.live.services() as gateway:
            fill(gateway, sample["id"], _KNOWN * number)
        yield measure_ends(bench, LINE)
        yield measure_reading(bench, api)
        yield [measure_ticks(bench, api, number, _KNOWN * number)]
        yield measure_outages(bench, api, fit)
