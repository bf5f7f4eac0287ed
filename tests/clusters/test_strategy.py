"""What follows from what a cluster can do, and where an administrator must change something."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.clusters.models import Found
from gateway.clusters.settings import ClusterSettings, SSHSettings
from gateway.clusters.strategy import strategy
from scheduler.base import Manners

SSH = SSHSettings(host="login", user="fits")
USUAL: dict[str, Any] = {"min_job_age_s": 300, "accounting": True, "part_limits": "ALL"}


def rules(settings: dict[str, Any] | None = None, **manners: Any) -> dict[str, tuple[str, bool]]:
    found = Found(
        name="hpc", version="Slurm 23", cpus=64, max_array=1001,
        manners=Manners(**(USUAL | manners)),
    )  # fmt: skip
    cluster = ClusterSettings(
        **{"scheduler": "slurm", "base": "/b", "python": "/p", "ssh": SSH,
           "max_jobs_per_user": 5, **(settings or {})}
    )  # fmt: skip
    return {rule.found: (rule.follows, rule.good) for rule in strategy(found, cluster)}


def only(said: dict[str, tuple[str, bool]], words: str) -> tuple[str, bool]:
    (found,) = [follows for name, follows in said.items() if words in name]
    return found


@pytest.mark.parametrize(
    ("settings", "manners", "words", "good"),
    [
        ({}, {}, "at least every 120 s", True),
        ({}, {"min_job_age_s": 120}, "taken from the accounting", True),
        ({}, {"min_job_age_s": 2, "accounting": False}, "set look_most_s below 2", False),
        ({"look_most_s": 1.5}, {"min_job_age_s": 2, "accounting": False}, "every 1.5 s", True),
    ],
)
def test_the_time_that_ended_jobs_are_remembered_decides_how_they_are_seen(
    settings: dict[str, Any], manners: dict[str, Any], words: str, *, good: bool
) -> None:
    follows, is_good = only(rules(settings, **manners), "MinJobAge")
    assert words in follows
    assert is_good is good


def test_what_the_settings_promise_beyond_slurm_is_to_be_changed() -> None:
    assert only(rules({"max_array": 1000}), "MaxArraySize")[1]
    follows, good = only(rules({"max_array": 1001}), "MaxArraySize")
    assert (good, "at most 1000" in follows) == (False, True)


def test_a_submission_is_given_up_no_sooner_than_it_may_arrive() -> None:
    assert only(rules(message_timeout_s=10), "MessageTimeout")[1]
    follows, good = only(rules(message_timeout_s=100), "MessageTimeout")
    assert (good, "set look_again_s to 200" in follows) == (False, True)
    assert only(rules({"look_again_s": 200.0}, message_timeout_s=100), "MessageTimeout")[1]
    assert not [found for found in rules() if "MessageTimeout" in found]


def test_where_nothing_bounds_a_user_it_is_said() -> None:
    assert "5 jobs" in only(rules(), "no limits")[0]
    assert not only(rules({"max_jobs_per_user": 0}), "no limits")[1]
    assert only(rules({"max_jobs_per_user": 0}, enforced=("limits", "qos")), "limits, qos")[1]


def test_a_cluster_over_ssh_without_a_ceiling_is_to_be_changed() -> None:
    assert "at most 6 in any minute" in only(rules(), "one question")[0]
    assert not only(rules({"calls_per_minute": 0}), "one question")[1]


def test_what_nobody_told_is_not_invented() -> None:
    said = rules(min_job_age_s=None, accounting=None, part_limits="", offers_json=None)
    assert "nobody told" in " ".join(said)
    assert not [name for name in said if "EnforcePartLimits" in name or "JSON" in name]


def test_local_execution_asks_nobody() -> None:
    local = ClusterSettings(scheduler="local")
    (rule,) = strategy(Found(name="here", version="local", cpus=2, max_array=10), local)
    assert "no command" in rule.follows
