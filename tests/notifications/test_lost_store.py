"""What users and administrators have set comes back when the store is lost; old news does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.accounts.models import Identity, Scope, expand
from gateway.backup import back_up
from gateway.errors import NoSpaceError
from gateway.jobs.shared import thing_of
from gateway.keepsakes import KINDS, Keepsakes
from gateway.notifications.ends import Ends
from gateway.notifications.mail_store import MailStore
from gateway.notifications.models import end_of
from gateway.rebuild import rebuild
from gateway.restoring import restore
from gateway.sidecars import Sidecars, Unfinished
from scheduler.base import JobState
from tests.jobs.making import make_job
from tests.notifications.receiver import Receiver, receiver
from tests.notifications.sink import Sink, mail_sink
from tests.notifications.test_mail import ADA, Desk
from tests.notifications.test_webhooks import HOOKS, is_signed
from tests.web.fixtures import SiteMaker


class House(Desk):
    """A site with a webhook, an address and a drained cluster."""

    def hook(self, url: str, **more: Any) -> dict[str, Any]:
        answer = self.ada.send("POST", HOOKS, json={"label": "mine", "url": url, **more})
        assert answer.status_code == 201, answer.text
        return dict(answer.json)

    def lose(self) -> None:
        self.site.services.redis.flushall()

    def rebuild(self) -> str:
        return "\n".join(rebuild(self.site.services.settings))


@pytest.fixture
def places(tmp_path: Path) -> Iterator[tuple[Receiver, Sink]]:
    with ExitStack() as open_:
        taker = open_.enter_context(receiver(tmp_path))
        (tmp_path / "mail").mkdir()
        yield taker, open_.enter_context(mail_sink(tmp_path / "mail"))


@pytest.fixture
def house(make: SiteMaker, places: tuple[Receiver, Sink]) -> House:
    taker, sink = places
    return House(make(**taker.environment | sink.environment))


def test_what_was_set_comes_back_and_nobody_is_told_again(
    house: House, places: tuple[Receiver, Sink]
) -> None:
    (taker, sink), services = places, house.site.services
    kept, gone = house.hook(taker.url, states=["FAILED"]), house.hook(taker.url)
    assert house.ada.send("DELETE", f"/api/v1/webhooks/{gone['id']}").status_code == 204
    house.known(sink, states=["TIMEOUT"])
    services.drains.drain("local", "the cooling is mended", "root")
    job = make_job(state=JobState.FAILED, collected=True)
    services.job_store.add(job)
    services.job_store.settle(job)
    own = Identity(user="ada", admin=False, scopes=expand([Scope.SUBMIT]))
    services.sharing.by_link(own, thing_of(job))
    told = end_of(job, job.attempt)
    services.notification_store.tell("x:1", told, services.webhooks.messages(told))
    assert house.go(ca_file=str(taker.ca_file)).delivered

    house.lose()
    said = house.rebuild()
    for kind in KINDS:
        assert f"{kind}: 1 restored" in said
    assert [hook.id for hook in services.webhooks.all("ada")] == [kept["id"]]
    address = services.mails.get("ada")
    assert (address.address, address.states) == (ADA, (JobState.TIMEOUT,))
    assert address.verified
    assert "the cooling is mended" in services.drains.why("local")

    ends = Ends(services.notification_store, services.job_store, services.webhooks.messages)
    for _ in range(2):
        ends.see(services.job_store.active())
        ends.tell()
    assert services.webhooks.deliveries("ada") == [], "what ended before was told before"
    services.webhooks.ping("ada", kept["id"])
    services.accounts.add_user("ada", "four calm otters swim")
    assert house.go(ca_file=str(taker.ca_file)).delivered
    assert is_signed(taker.messages[-1], kept["secret"]), "the secret is still the receiver's"
    assert "webhooks: 0 restored" in house.rebuild(), "what the store has is left alone"


def test_what_was_taken_away_or_never_confirmed_does_not_come_back(
    house: House, places: tuple[Receiver, Sink]
) -> None:
    (_, sink), services = places, house.site.services
    house.known(sink)
    assert house.put(address="other@example.org").status_code == 200
    services.drains.drain("local", "first", "root")
    services.drains.drain("local", "second", "root")
    house.lose()
    house.rebuild()
    assert services.mails.find("ada") is None, "nobody has confirmed the new one"
    assert "second" in services.drains.why("local")
    services.drains.resume("local", "root")
    house.lose()
    assert "drains: 0 restored" in house.rebuild()


def between(
    monkeypatch: pytest.MonkeyPatch, place: type, name: str, act: Callable[[], object], nth: int = 1
) -> list[int]:
    """Have something done just before the nth call of a method: another process came between."""
    real, calls = getattr(place, name), []

    def held_up(*args: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == nth:
            act()
        return real(*args, **named)

    monkeypatch.setattr(place, name, held_up)
    return calls


RECORDS = ("webhook", "mail", "changed mail", "drain")


class Record:
    """One record of each kind: written, and taken away."""

    def __init__(self, kind: str, house: House, sink: Sink) -> None:
        self.kind = kind
        self.services = house.site.services
        self.state = self.services.settings.state_directory
        self.hook = ""
        if "mail" in kind:
            house.known(sink)
            self.address = self.services.mails.get("ada")

    def write(self, word: str = "FAILED") -> None:
        mails = MailStore(self.services.redis, Keepsakes(self.state, "mails"))
        states = (JobState(word),)
        if self.kind == "webhook":
            made = self.services.webhooks.add("ada", word, "https://example.org/", states)
            self.hook = made.webhook.id
        elif self.kind == "mail":
            mails.put(replace(self.address, states=states))
        elif self.kind == "changed mail":
            mails.change("ada", lambda known: replace(known, states=states))
        else:
            self.services.drains.drain("local", word, "root")

    def remove(self) -> None:
        if self.kind == "webhook":
            for hook in self.services.webhooks.all("ada"):
                self.services.webhooks.remove("ada", hook.id)
        elif "mail" in self.kind:
            self.services.mails.remove("ada")
        else:
            self.services.drains.resume("local", "root")

    def words(self) -> list[str]:
        """Say what the store has."""
        if self.kind == "webhook":
            return [hook.label for hook in self.services.webhooks.all("ada")]
        if "mail" in self.kind:
            found = self.services.mails.find("ada")
            return [state.value for state in found.states] if found else []
        return [drain.reason for drain in self.services.drains.all().values()]


@pytest.fixture
def record(house: House, places: tuple[Receiver, Sink], request: pytest.FixtureRequest) -> Record:
    return Record(request.param, house, places[1])


@pytest.mark.parametrize("record", RECORDS, indirect=True)
def test_what_is_taken_away_before_its_writer_has_kept_its_file_does_not_come_back(
    house: House, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    record.write()
    between(monkeypatch, Unfinished, "keep", record.remove)
    record.write("TIMEOUT")
    assert record.words() == []
    house.lose()
    house.rebuild()
    assert record.words() == []


@pytest.mark.parametrize("record", RECORDS[1:], indirect=True)
def test_what_is_written_while_it_is_taken_away_does_not_come_back_either(
    house: House, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    record.write()
    verb = "hdel" if record.kind == "drain" else "delete"
    between(monkeypatch, type(record.services.redis), verb, lambda: record.write("TIMEOUT"))
    record.remove()
    assert record.words() == []
    house.lose()
    house.rebuild()
    assert record.words() == []


@pytest.mark.parametrize("record", [kind for kind in RECORDS if kind != "webhook"], indirect=True)
def test_of_two_writers_the_file_is_of_the_one_whom_the_store_has(
    house: House, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    record.write()
    between(monkeypatch, Unfinished, "keep", lambda: record.write("CANCELLED"))
    record.write("TIMEOUT")
    kept = record.words()
    assert kept == ["CANCELLED"]
    house.lose()
    house.rebuild()
    assert record.words() == kept


@pytest.mark.parametrize("record", ["mail", "drain"], indirect=True)
def test_what_is_written_anew_once_it_was_taken_away_stays(
    house: House, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    record.write()
    calls = between(monkeypatch, Sidecars, "remove", lambda: record.write("TIMEOUT"), nth=2)
    record.remove()
    assert len(calls) >= 2, "once before the store forgets, and once after"
    assert record.words() == ["TIMEOUT"]
    house.lose()
    house.rebuild()
    assert record.words() == ["TIMEOUT"]


def test_a_full_disk_keeps_no_administrator_from_draining(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise NoSpaceError("no room")

    monkeypatch.setattr(Sidecars, "prepared", full)
    house.site.services.drains.drain("local", "the disk is full", "root")
    assert "the disk is full" in house.site.services.drains.why("local")


def test_they_are_in_a_backup(house: House, places: tuple[Receiver, Sink], tmp_path: Path) -> None:
    services = house.site.services
    house.hook(places[0].url)
    services.drains.drain("local", "first", "root")
    list(back_up(services.settings, tmp_path / "backup.tar"))
    state = services.settings.state_directory
    state.rename(tmp_path / "lost")
    list(restore(services.settings, tmp_path / "backup.tar"))
    house.lose()
    house.rebuild()
    assert len(services.webhooks.all("ada")) == 1
    assert list(services.drains.all()) == ["local"]


@pytest.mark.parametrize("name", ["../../x", "b.a", "a/b", "é" * 99, ".deleted"])
def test_any_name_has_a_file_of_its_own_beneath_its_folder(tmp_path: Path, name: str) -> None:
    files = Keepsakes(tmp_path, "drains")
    files.keep(name, lambda: {"cluster": name})
    files.keep(f"{name}2", lambda: {"cluster": "another"})
    found = [document["cluster"] for _, document in Sidecars(tmp_path / "sidecars" / "drains")]
    assert sorted(found) == sorted([name, "another"])
    with files.dropped(name, lambda: None):
        assert len(list(tmp_path.rglob("*.json"))) == 1
    assert len(list(tmp_path.rglob("*.json"))) == 1
