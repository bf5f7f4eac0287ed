"""A proposal decides account, QOS, reservation: in its days, for its members, on its clusters."""

from __future__ import annotations

from datetime import date

import pytest

from gateway.errors import InvalidError
from gateway.jobs.resources import Resources
from gateway.policy.proposals import under_proposal
from tests.policy.documents import policy

OPEN = date(2026, 11, 22)
NOTHING = Resources(cpus_per_task=2)


def under(
    user: str, name: str, asked: Resources = NOTHING, cluster: str = "hpc", today: date = OPEN
) -> Resources:
    return under_proposal(policy(), user, name, cluster, asked, today)


def refused(*args: object, **named: object) -> list[tuple[str, str]]:
    with pytest.raises(InvalidError) as caught:
        under(*args, **named)  # type: ignore[arg-type]  # as above
    return [(error.pointer, error.detail) for error in caught.value.errors]


def test_a_job_gets_what_its_proposal_has() -> None:
    wanted = Resources(cpus_per_task=2, account="hp117", reservation="d17")
    assert under("ada", "hp-117") == wanted
    assert under("bob", "hp-117", Resources(cpus_per_task=2, account="hp117")) == wanted
    assert under("ada", "hp-117", Resources(qos="own")).qos == "own", "what it leaves open is free"
    assert under("ada", "") == NOTHING


@pytest.mark.parametrize("day", [date(2026, 11, 20), date(2026, 11, 24)])
def test_its_first_and_its_last_day_are_its_own(day: date) -> None:
    assert under("ada", "hp-117", today=day).account == "hp117"


def test_outside_of_its_days_it_is_refused_with_them() -> None:
    days = "the proposal hp-117 is for jobs from 2026-11-20 to 2026-11-24, and today is "
    early, late = date(2026, 11, 19), date(2026, 11, 25)
    assert refused("ada", "hp-117", today=early) == [
        ("/proposal", f"{days}2026-11-19 (UTC): wait until then, or leave it out")
    ]
    assert refused("ada", "hp-117", today=late) == [
        ("/proposal", f"{days}2026-11-25 (UTC): leave it out")
    ]


def test_one_of_strangers_is_as_if_it_did_not_exist() -> None:
    [(pointer, said)] = refused("ada", "xr-3")
    [(_, missing)] = refused("ada", "xr-4")
    assert pointer == "/proposal"
    assert said == "you have no proposal 'xr-3'; yours are hp-117"
    assert said.replace("xr-3", "xr-4") == missing
    assert refused("zoe", "hp-117")[0][1].endswith("none of yours is open: leave it out")


def test_it_is_for_its_clusters() -> None:
    assert refused("ada", "hp-117", cluster="local") == [
        ("/proposal", "the proposal hp-117 is not for the cluster local: choose hpc")
    ]
    assert under("eve", "xr-3", cluster="any", today=date(2026, 12, 1)).qos == "beam"


def test_what_was_typed_against_it_is_refused_at_its_field() -> None:
    typed = Resources(account="mine", reservation="d17", qos="beam")
    assert refused("ada", "hp-117", typed) == [
        ("/resources/account",
         "the proposal hp-117 has hp117, not mine: leave this empty"),
        ("/resources/qos",
         "only a proposal gives beam: choose one of yours, or leave this empty"),
    ]  # fmt: skip


def test_what_a_proposal_gives_nobody_can_type_without_it() -> None:
    assert [pointer for pointer, _ in refused("eve", "", Resources(reservation="d17"))] == [
        "/resources/reservation"
    ]
    free = Resources(reservation="d17")
    assert under("eve", "", free, cluster="local") == free, "elsewhere it is another's name"


def test_capital_letters_are_no_way_around_a_proposal() -> None:
    assert refused("eve", "", Resources(account="HP117", qos="Beam")) == [
        ("/resources/account",
         "only a proposal gives HP117: choose one of yours, or leave this empty"),
        ("/resources/qos",
         "only a proposal gives Beam: choose one of yours, or leave this empty"),
    ]  # fmt: skip
    assert under("ada", "hp-117", Resources(account="HP117")).account == "hp117", "the same one"
    other = Resources(reservation="D17")
    assert under("eve", "", other) == other, "of reservations Slurm heeds the case"
    assert [where for where, _ in refused("ada", "hp-117", other)] == ["/resources/reservation"]
