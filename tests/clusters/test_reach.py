"""One scheduler for each cluster and account, opened when needed and closed when not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from gateway.clusters.keys import make_key
from gateway.clusters.models import ClusterAccount, KeySource
from gateway.clusters.seal import seal
from gateway.clusters.settings import ClusterSettings, SSHSettings
from gateway.jobs.places import Place
from gateway.reach.reach import Reach, route, slurm_config
from gateway.records import now
from gateway.settings import Settings, load_settings, prepare_state
from scheduler.base import SchedulerUnavailableError
from scheduler.hosts import Identity
from scheduler.slurm import Slurm
from tests.clusters.making import CLUSTER, NOBODY, PER_USER
from tests.scheduler.sshd import Clock

ADA = Place(cluster=CLUSTER, owner="ada", login="al")


@dataclass
class Known:
    """Accounts that a test changes."""

    settings: Settings
    kept: dict[str, ClusterAccount] = field(default_factory=dict)

    def find(self, cluster: str, user: str) -> ClusterAccount | None:
        found = self.kept.get(user)
        return found if found and found.cluster == cluster else None

    def add(self, user: str, login: str = "al", id: str = "1") -> None:
        key = make_key()
        secret = self.settings.secret_key
        self.kept[user] = ClusterAccount(
            id=id, cluster=CLUSTER, user=user, login=login, source=KeySource.GENERATED,
            public_key=key.public, fingerprint=key.fingerprint, added=now(),
            sealed_key=seal(secret, CLUSTER, user, key.private),
        )  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    state = tmp_path / "state"
    prepare_state(state)
    return load_settings({"GATEWAY_STATE": str(state), **PER_USER})


@pytest.fixture
def known(settings: Settings) -> Known:
    return Known(settings)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reach(settings: Settings, known: Known, clock: Clock) -> Reach:
    return Reach(settings, known, clock, idle_s=100)


def test_each_account_has_one_scheduler_of_its_own(reach: Reach, known: Known) -> None:
    known.add("ada")
    known.add("bob")
    bob = replace(ADA, owner="bob")
    assert reach.places == []
    assert reach.get(ADA) is reach.get(ADA)
    assert reach.get(ADA) is not reach.get(bob)
    local = Place(cluster="local")
    assert reach.get(local) is reach.get(local)
    reach.close()
    assert reach.places == []


def test_a_new_key_opens_anew_and_an_account_that_went_is_closed(
    reach: Reach, known: Known
) -> None:
    known.add("ada")
    before = reach.get(ADA)
    known.add("ada", id="2")
    assert reach.get(ADA) is not before
    del known.kept["ada"]
    with pytest.raises(SchedulerUnavailableError, match="ada has no account on The cluster"):
        reach.get(ADA)
    assert reach.places == []


def test_whoever_is_silent_for_long_is_closed_but_not_what_all_share(
    reach: Reach, known: Known, clock: Clock
) -> None:
    known.add("ada")
    known.add("bob")
    local, bob = Place(cluster="local"), replace(ADA, owner="bob")
    for place in (ADA, bob, local):
        reach.get(place)
    clock.now += 90
    reach.get(bob)
    clock.now += 90
    reach.tidy()
    assert reach.places == [bob, local]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (replace(ADA, login="bl"), "'al' is registered now: it goes on when that is 'bl' again"),
        (Place(cluster=CLUSTER), "the account on The cluster that all shared"),
        (Place(cluster="local", owner="ada", login="al"), "let all jobs run as one account"),
        (Place(cluster="gone"), "'gone' is no longer configured"),
    ],
)
def test_nobody_else_acts_in_the_directory_of_a_job(
    reach: Reach, known: Known, place: Place, words: str
) -> None:
    known.add("ada")
    with pytest.raises(SchedulerUnavailableError, match=words):
        reach.get(place)
    assert reach.places == []


def test_a_key_that_another_secret_sealed_is_asked_for_again(
    settings: Settings, known: Known
) -> None:
    known.add("ada")
    reach = Reach(replace(settings, secret_key=b"x" * 32), known)
    with pytest.raises(SchedulerUnavailableError, match="Register the account again"):
        reach.get(ADA)


def test_a_login_is_filled_in_wherever_the_settings_say_so(known: Known) -> None:
    known.add("ada")
    jump = f'host = "gate"\nuser = "{{login}}"\nhost_keys = ["{NOBODY}"]'
    ssh = SSHSettings(host="login", host_keys=(NOBODY,))
    cluster = ClusterSettings(
        scheduler="slurm", accounts="per-user", base="/scratch/{login}", python="/p", ssh=ssh
    )
    config = slurm_config(cluster, known.kept["ada"])
    assert (config.base, config.private) == ("/scratch/al/ada", True)
    way = route(ssh, known.kept["ada"], Identity(key="k"))
    assert [hop.user for hop in way.hops] == ["al"]
    assert jump


def test_commands_are_counted_by_cluster_over_all_accounts(reach: Reach, known: Known) -> None:
    assert reach.commands_last_minute() == {}
    for user, calls in (("ada", 3), ("bob", 2)):
        known.add(user)
        scheduler = reach.get(replace(ADA, owner=user))
        assert isinstance(scheduler, Slurm)
        scheduler.count.add("squeue", calls)
    assert reach.commands_last_minute() == {CLUSTER: 5}
