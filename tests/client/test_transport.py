"""A line that is cut, slow, busy or wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from email.utils import formatdate
from time import monotonic, time
from typing import Any

import pytest
from bumps_remote.config import Server
from bumps_remote.errors import AuthError, NotFoundError, RefusedError, UnreachableError
from bumps_remote.transport import Call, Patience, Transport, retry_after_s

from tests.client.site import TOKEN, Misbehaving, Reply
from tests.helpers import free_port

QUICK = Patience(total_s=3.0, first_s=0.01, longest_s=0.05)
GET = Call(method="GET", path="/thing")
POST = Call(method="POST", path="/thing", json={"a": 1})
KEYED = Call(method="POST", path="/thing", json={"a": 1}, key="one")
FINE = Reply(body={"fine": True})
CUT = Reply(body={"fine": True}, cut_after=-1)
HALF = Reply(body={"fine": True}, cut_after=5)


@pytest.fixture
def line(site: Misbehaving) -> Iterator[Callable[..., Transport]]:
    made: list[Transport] = []

    def make(patience: Patience = QUICK, **rest: Any) -> Transport:
        made.append(Transport(Server(url=site.url, token=TOKEN), patience, **rest))
        return made[-1]

    yield make
    for transport in made:
        transport.close()


@pytest.mark.parametrize(
    "bad", [CUT, HALF, Reply(status=502), Reply(status=503), Reply(status=504)]
)
@pytest.mark.parametrize("call", [GET, KEYED], ids=["GET", "keyed POST"])
def test_what_may_be_repeated_is_repeated_until_it_arrives(
    site: Misbehaving, line: Any, call: Call, bad: Reply
) -> None:
    site.on(call.method, "/thing", bad, bad, FINE)

    assert line().document(call) == {"fine": True}
    assert len(site.asked(call.method, "/thing")) == 3


def test_every_repetition_carries_the_same_key(site: Misbehaving, line: Any) -> None:
    site.on("POST", "/thing", CUT, Reply(status=503), HALF, FINE)

    line().document(KEYED)

    assert [seen.key for seen in site.asked("POST", "/thing")] == ['"one"'] * 4


@pytest.mark.parametrize("bad", [CUT, HALF, Reply(status=502), Reply(status=504)])
def test_a_write_without_a_key_is_sent_once(site: Misbehaving, line: Any, bad: Reply) -> None:
    site.on("POST", "/thing", bad, FINE)

    with pytest.raises(UnreachableError):
        line().document(POST)

    assert len(site.asked("POST", "/thing")) == 1


def test_a_write_without_a_key_waits_when_the_server_asks_for_patience(
    site: Misbehaving, line: Any
) -> None:
    site.on("POST", "/thing", Reply(status=429, headers={"Retry-After": "0"}), FINE)

    assert line().document(POST) == {"fine": True}


def test_retry_after_is_honoured(site: Misbehaving, line: Any) -> None:
    site.on("GET", "/thing", Reply(status=503, headers={"Retry-After": "1"}), FINE)
    began = monotonic()

    line().document(GET)

    assert monotonic() - began >= 1.0


def test_who_is_asked_to_wait_longer_than_our_patience_says_so_at_once(
    site: Misbehaving, line: Any
) -> None:
    slow_down = Reply(
        status=429, body={"detail": "too many guesses"}, headers={"Retry-After": "900"}
    )
    site.on("GET", "/thing", slow_down)
    began = monotonic()

    with pytest.raises(UnreachableError, match=r"too many guesses.*try again in 900 s"):
        line().document(GET)

    assert monotonic() - began < 60  # it does not wait as long as it was told to


def test_retry_after_may_be_a_date() -> None:
    soon = retry_after_s(formatdate(time() + 60, usegmt=True))

    assert soon is not None
    assert 50 < soon <= 60


def test_patience_ends(line: Any, site: Misbehaving) -> None:
    site.on("GET", "/thing", Reply(status=503))

    with pytest.raises(UnreachableError, match="503"):
        line(Patience(total_s=1.0, first_s=0.01)).document(GET)

    assert len(site.asked("GET", "/thing")) > 1


def test_a_server_that_is_away_is_unreachable_and_named() -> None:
    transport = Transport(
        Server(url=f"http://127.0.0.1:{free_port()}"), Patience(total_s=0.05, first_s=0.01)
    )

    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:\d+ does not answer"):
        transport.document(GET)

    transport.close()


def test_each_repetition_is_told(site: Misbehaving, line: Any) -> None:
    site.on("GET", "/thing", CUT, FINE)
    told: list[str] = []

    line(notice=told.append).document(GET)

    assert len(told) == 1
    assert "trying again in" in told[0]


def test_a_401_says_how_to_log_in(site: Misbehaving, line: Any) -> None:
    site.on("GET", "/thing", Reply(status=401, body={"detail": "expired"}))

    with pytest.raises(AuthError, match=f"expired\nlog in .*: bumps-remote login {site.url}"):
        line().document(GET)

    assert len(site.asked("GET", "/thing")) == 1


def test_wrong_fields_are_named_one_a_line(site: Misbehaving, line: Any) -> None:
    rows = [
        {"pointer": "/options/steps", "detail": "must be at least 1, not -1"},
        {"pointer": "/resources/mem", "detail": "is too much"},
    ]
    site.on("GET", "/thing", Reply(status=422, body={"detail": "wrong", "errors": rows}))

    with pytest.raises(RefusedError) as caught:
        line().document(GET)

    assert str(caught.value).splitlines() == [
        "steps: must be at least 1, not -1",
        "mem: is too much",
    ]


def test_a_missing_thing_is_not_found(line: Any) -> None:
    with pytest.raises(NotFoundError, match="nothing at /thing"):
        line().document(GET)


def test_a_redirect_is_not_followed_since_the_token_is_for_this_server(
    site: Misbehaving, line: Any
) -> None:
    elsewhere = {"Location": f"{site.url}/api/v1/other"}
    site.on("GET", "/thing", Reply(status=307, headers=elsewhere))
    site.on("GET", "/other", FINE)

    with pytest.raises(RefusedError, match="sends us to"):
        line().document(GET)

    assert not site.asked("GET", "/other")


def test_a_login_page_of_a_network_is_no_answer(site: Misbehaving, line: Any) -> None:
    site.on("GET", "/thing", Reply(body=b"<html>", headers={"Content-Type": "text/html"}))

    with pytest.raises(UnreachableError, match="text/html, not JSON"):
        line().document(GET)


def test_a_failure_of_the_server_names_the_request_id(site: Misbehaving, line: Any) -> None:
    broken = {"detail": "something went wrong", "request_id": "01JREQUEST"}
    site.on("GET", "/thing", Reply(status=500, body=broken))

    with pytest.raises(UnreachableError, match="01JREQUEST"):
        line().document(GET)


def test_a_full_quota_is_a_no_of_the_server_and_asked_once(site: Misbehaving, line: Any) -> None:
    detail = "you keep 2 GB of 2 GB: delete jobs or data sets"
    site.on("GET", "/thing", Reply(status=507, body={"detail": detail}))

    with pytest.raises(RefusedError) as caught:
        line().document(GET)

    assert (str(caught.value), caught.value.exit_code, caught.value.status) == (detail, 6, 507)
    assert len(site.asked("GET", "/thing")) == 1


def test_what_a_server_says_cannot_drive_the_terminal(site: Misbehaving, line: Any) -> None:
    evil = "no\x1b]0;owned\x07\x1b[2J\u202e\x9b31m"
    site.on("GET", "/thing", Reply(status=409, body={"detail": evil}))

    with pytest.raises(RefusedError) as caught:
        line().document(GET)

    assert str(caught.value) == r"no\x1b]0;owned\x07\x1b[2J\u202e\x9b31m"


def test_a_slow_answer_is_waited_for(site: Misbehaving, line: Any) -> None:
    slow = threading.Event()
    site.on("GET", "/thing", Reply(body={"fine": True}, wait=slow))
    timer = threading.Timer(0.3, slow.set)
    timer.start()

    assert line().document(GET) == {"fine": True}

    timer.join()
