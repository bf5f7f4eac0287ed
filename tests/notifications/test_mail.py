"""Mail through a real server: only to addresses that answered, and with no header of a stranger."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.jobs.models import Stage
from gateway.notifications.ends import Ends
from gateway.notifications.models import end_of
from gateway.settings import SettingsError, load_settings
from scheduler.base import JobState
from tests.helpers import eventually
from tests.jobs.making import make_job
from tests.notifications.office import Office
from tests.notifications.sink import Sink, mail_sink
from tests.web.fixtures import SiteMaker

MAIL = "/api/v1/me/mail"
ADA = "ada@example.org"


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    with mail_sink(tmp_path) as running:
        yield running


class Desk(Office):
    """What is sent by mail."""

    def put(self, address: str = ADA, **more: Any) -> Any:
        return self.ada.send("PUT", MAIL, json={"address": address, **more})

    def verify(self, code: str) -> Any:
        return self.ada.send("POST", f"{MAIL}/verify", json={"code": code})

    def known(self, sink: Sink, **more: Any) -> None:
        """Give an address, and the code that came there."""
        assert self.put(**more).status_code == 200
        self.go()
        assert self.verify(code_in(sink)).status_code == 200
        sink.mails.clear()

    def end(self, **changes: Any) -> str:
        job = make_job(**{"state": JobState.COMPLETED, **changes})
        told, services = end_of(job, job.attempt), self.site.services
        services.notification_store.tell(f"{job.id}:1", told, services.mails.messages(told))
        return told.id


@pytest.fixture
def desk(make: SiteMaker, sink: Sink) -> Desk:
    return Desk(make(**sink.environment))


def code_in(sink: Sink) -> str:
    found = re.search(r"\b[0-9]{8}\b", sink.mails[-1].get_content())
    assert found
    return found[0]


def test_mail_goes_only_where_the_code_came_back_from(desk: Desk, sink: Sink) -> None:
    assert desk.put().json["verified"] is None
    desk.end()
    desk.go()
    assert [mail["To"] for mail in sink.mails] == [ADA]  # the code, and nothing of the end
    code = code_in(sink)
    assert desk.verify("00000000" if code != "00000000" else "1").status_code == 422
    assert desk.verify(code).json["verified"]
    event = desk.end(title="Misra1a")
    assert desk.go().delivered
    mail = sink.mails[-1]
    assert mail["Subject"] == "[bumps-gateway] COMPLETED: Misra1a"
    assert (mail["From"], mail["To"]) == ("gateway@site.example", ADA)
    assert mail["Message-ID"].startswith(f"<{event}@")
    assert mail.get_content_type() == "text/plain"
    assert "/jobs/" in mail.get_content()
    assert desk.put("other@example.org").json["verified"] is None  # and has to answer, too
    assert desk.ada.send("DELETE", MAIL).status_code == 204
    assert desk.ada.get(MAIL).status_code == 404


def test_only_the_wanted_ends_are_sent(desk: Desk, sink: Sink) -> None:
    desk.known(sink, states=["FAILED"])
    desk.end(state=JobState.COMPLETED)
    desk.end(state=JobState.FAILED, title="broken")
    desk.go()
    assert [mail["Subject"] for mail in sink.mails] == ["[bumps-gateway] FAILED: broken"]


@pytest.mark.parametrize(
    "title",
    ["x\r\nBcc: mallory@example.org", "x\nSubject: y\n\nbody", "x\u2028Bcc: m@example.org",
     "\r\n.\r\nMAIL FROM:<m@example.org>", "ü" * 300],
)  # fmt: skip
def test_a_title_is_no_header_and_no_command(desk: Desk, sink: Sink, title: str) -> None:
    desk.known(sink)
    sink.envelopes.clear()
    desk.end(title=title, reason_text=title)
    assert desk.go().delivered
    [mail] = sink.mails
    assert mail["Bcc"] is None
    assert len(mail.get_all("Subject", [])) == len(mail.get_all("To", [])) == 1
    [(_, to)] = sink.envelopes
    assert [ADA in line for line in to] == [True]


@pytest.mark.parametrize(
    "address",
    ["ada", "a@b\r\nBcc: c@d", "Ada <ada@example.org>", "a@b,c@d", "-x@example.org", "a b@c", "@b"],
)
def test_what_is_no_address_is_refused_by_its_field(desk: Desk, sink: Sink, address: str) -> None:
    answer = desk.put(address)
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "/address"
    desk.site.services.redis.delete("outbox:due")
    assert sink.mails == []


def test_a_code_is_not_found_by_guessing_nor_sent_without_end(desk: Desk, sink: Sink) -> None:
    desk.put()
    desk.go()
    code = code_in(sink)
    for guess in range(5):
        assert desk.verify(f"x{guess}").status_code == 422
    assert desk.verify(code).status_code == 422
    statuses = [desk.put().status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 200, 429]


def test_a_mail_is_sent_again_until_the_server_takes_it(desk: Desk, sink: Sink) -> None:
    desk.known(sink)
    sink.refuses = True
    event = desk.end()
    assert "does not take" in desk.go().last
    sink.refuses = False
    assert eventually(lambda: desk.go().delivered, what="the mail")
    assert [mail["Message-ID"].startswith(f"<{event}@") for mail in sink.mails] == [True]


def test_a_silent_server_and_one_with_a_strange_certificate_are_left(
    desk: Desk, sink: Sink, tmp_path: Path
) -> None:
    desk.known(sink)
    desk.end()
    (tmp_path / "other").mkdir()
    with mail_sink(tmp_path / "other") as other:
        assert "not safely" in desk.go(ca_file=str(other.ca_file)).last
    sink.silent = True
    desk.end()
    begun = time.monotonic()
    desk.go(deadline_s=0.5)
    assert time.monotonic() - begun < 3
    assert sink.mails == []


def test_jobs_that_wait_for_the_same_are_one_mail_that_links_the_first(
    desk: Desk, sink: Sink
) -> None:
    desk.known(sink)
    services = desk.site.services
    jobs = [make_job(stage=Stage.SUBMITTED, reason="PartitionDown", title="a") for _ in range(40)]
    for job in jobs:
        services.job_store.add(job)
    ends = Ends(services.notification_store, services.job_store, services.mails.messages)
    for _ in range(2):
        ends.see(services.job_store.active())
        ends.tell()
    for _ in range(3):
        desk.go()
    [mail] = sink.mails
    assert mail["Subject"] == "[bumps-gateway] PENDING: a and 39 more"
    text = mail.get_content()
    ids = sorted(job.id for job in jobs)
    assert re.findall(r"/jobs/(\w+)", text) == ids[:10]
    assert "Its partition is closed." in text
    assert "The same holds for 39 more jobs of yours." in text
    assert "The first 10 are named." in text


def test_a_removed_address_gets_nothing_that_waits(desk: Desk, sink: Sink) -> None:
    desk.known(sink)
    desk.end()
    desk.site.services.mails.remove("ada")
    assert desk.go().last == "its address was removed"
    assert sink.mails == []


def test_a_site_without_a_mail_server_says_so(make: SiteMaker) -> None:
    desk = Desk(make())
    answer = desk.put()
    assert (answer.status_code, "sends no mail" in answer.text) == (409, True)
    job = make_job()
    assert desk.site.services.mails.messages(end_of(job, job.attempt)) == []


@pytest.mark.parametrize(
    ("key", "text", "word"),
    [
        ("TLS", "ssl", "starttls"),
        ("HOST", "mail.example", "sender"),
        ("USER", "x", "password_file"),
    ],
)
def test_a_setting_that_cannot_be_is_named(key: str, text: str, word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        load_settings({f"GATEWAY_MAIL__{key}": text}, with_secret=False)
