"""Jobs tell of their beginnings and ends themselves: nobody asks their scheduler for it often."""

from __future__ import annotations

from tests.live import live_gateway

_HOUR = "3600"


def test_what_begins_and_ends_between_two_questions_is_known_within_seconds() -> None:
    """All but the first wait when the scheduler is asked, which is once."""
    with live_gateway(
        GATEWAY_CLUSTERS__LOCAL__LOOK_S=_HOUR,
        GATEWAY_CLUSTERS__LOCAL__LOOK_MOST_S=_HOUR,
        GATEWAY_CLUSTERS__LOCAL__CALLS_PER_MINUTE="0",
        GATEWAY_CLUSTERS__LOCAL__FOLLOW_S="0.2",
        GATEWAY_CLUSTERS__LOCAL__CPUS="1",
    ) as live:
        api = live.user()
        options = {"seconds": 1, "steps": 2}
        jobs = [api.submit(kind="dummy", options=options)["id"] for _ in range(3)]
        ends = [api.wait(job, within_s=60) for job in jobs]
        assert [end["state"] for end in ends] == ["COMPLETED"] * 3
