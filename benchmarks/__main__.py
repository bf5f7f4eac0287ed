"""Measure what the README states: ``python -m benchmarks [--only PART] [--fits N] ...``.

All parts run side by side with what they are compared with, so that a busy computer spoils the
numbers but not the ratios.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.browser import measure_browser
from benchmarks.fits import measure_fits, measure_packed
from benchmarks.forecasts import measure_forecasts
from benchmarks.life import EVENTS_S, measure_ends, measure_memory, measure_starts
from benchmarks.measure import Row, save, table
from benchmarks.requests import measure_requests
from benchmarks.slurm import measure_slurm
from tests.live import LiveGateway, live_gateway

_PARTS = ("starts", "requests", "memory", "ends", "browser", "fits", "packed", "forecasts", "slurm")
_LIVE: dict[str, Callable[[LiveGateway], list[Row]]] = {
    "memory": measure_memory,
    "ends": measure_ends,
    "browser": measure_browser,
    "fits": measure_fits,
    "packed": measure_packed,
    "forecasts": measure_forecasts,
}


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--times", type=int, default=30, help="requests of each client")
    parser.add_argument("--fits", type=int, default=1000, help="fits submitted to Slurm")
    parser.add_argument("--only", choices=_PARTS, action="append", help="measure only this part")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"))
    asked = parser.parse_args()
    rows: list[Row] = []
    for part in asked.only or _PARTS:
        print(f"{part} ...", flush=True)  # noqa: T201 - it is a command
        for found in _measure(part, asked.times, asked.fits):
            print(table(found), flush=True)  # noqa: T201 - it is a command
            rows += found
    save(rows, asked.json)
    missed = [row.name for row in rows if row.met is False]
    print(f"\nload {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors; in {asked.json}")  # noqa: T201
    print("missed: " + "; ".join(missed) if missed else "all goals are met")  # noqa: T201


def _measure(part: str, times: int, fits: int) -> Iterator[list[Row]]:
    if part == "starts":
        yield measure_starts()
        return
    if part == "slurm":
        yield from measure_slurm(fits)
        return
    with live_gateway(
        GATEWAY_LIMITS__ENDED_EVENTS_S=str(EVENTS_S if part == "memory" else 600),
        GATEWAY_WORKER__TICK_S="0.4",
        GATEWAY_LIMITS__QUEUED_PER_USER="100000",
        GATEWAY_CLUSTERS__LOCAL__TRUSTED_USERS="true",
    ) as live:
        yield measure_requests(live, times) if part == "requests" else _LIVE[part](live)


if __name__ == "__main__":
    main()
