"""Webhooks against a real HTTPS server: signed, retried, bounded, and never sent inside."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.notifications.models import Delivery, end_of
from scheduler.base import JobState
from tests.helpers import eventually
from tests.jobs.making import make_job
from tests.live import live_gateway
from tests.notifications.office import Office
from tests.notifications.receiver import Message, Receiver, receiver
from tests.notifications.tls import make_certificate
from tests.web.fixtures import SiteMaker
from tests.web.site import PASSWORD, SECRET, Browser

HOOKS = "/api/v1/webhooks"


@pytest.fixture
def taker(tmp_path: Path) -> Iterator[Receiver]:
    with receiver(tmp_path) as running:
        yield running


class Post(Office):
    """What is sent to webhooks."""

    def hook(self, url: str, **more: Any) -> dict[str, Any]:
        answer = self.ada.send("POST", HOOKS, json={"label": "mine", "url": url, **more})
        assert answer.status_code == 201, answer.text
        return dict(answer.json)

    def end(self, state: JobState = JobState.COMPLETED) -> str:
        """Tell of an end as the reconciler does; answer the id of the event."""
        job = make_job(state=state)
        told, services = end_of(job, job.attempt), self.site.services
        assert services.notification_store.tell("x:1", told, services.webhooks.messages(told))
        return told.id


@pytest.fixture
def post(make: SiteMaker, taker: Receiver) -> Post:
    return Post(make(**taker.environment))


def is_signed(message: Message, secret: str) -> bool:
    """Check a message as its receiver does, by the words of the specification."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    event, timestamp = message.headers["webhook-id"], message.headers["webhook-timestamp"]
    content = f"{event}.{timestamp}.{message.body.decode()}".encode()
    wanted = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    assert abs(time.time() - int(timestamp)) < 60
    return message.headers["webhook-signature"] == f"v1,{wanted}"


def test_an_end_is_sent_signed_with_its_event_and_links(post: Post, taker: Receiver) -> None:
    made = post.hook(taker.url)
    event = post.end()
    assert post.go().delivered
    [message] = taker.messages
    assert is_signed(message, made["secret"])
    assert not is_signed(replace(message, body=message.body + b" "), made["secret"])
    assert (message.path, message.headers["webhook-id"]) == ("/hook?x=1", event)
    body = json.loads(message.body)
    assert (body["id"], body["type"], body["data"]["state"]) == (event, "job.ended", "COMPLETED")
    assert body["data"]["links"]["page"].endswith(f"/jobs/{body['data']['job']}")
    listed = post.ada.get(HOOKS)
    assert made["secret"] not in listed.text
    assert made["secret"] not in str(post.site.services.redis.hgetall("webhooks:of:ada"))


def test_only_the_wanted_states_are_sent_and_a_ping_always(post: Post, taker: Receiver) -> None:
    made = post.hook(taker.url, states=["FAILED", "TIMEOUT"])
    post.end(JobState.COMPLETED)
    assert post.site.services.webhooks.deliveries("ada") == []
    answer = post.ada.send("POST", f"{HOOKS}/{made['id']}/test")
    assert answer.status_code == 202
    assert post.go().kind == "ping"
    [shown] = post.ada.get(f"{HOOKS}/deliveries").json["items"]
    assert shown["delivered"]
    assert is_signed(taker.messages[0], made["secret"])


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0x7f000001", "2130706433",
     "0.0.0.0",  # noqa: S104 - nobody listens there: it must not be reached
     "169.254.169.254", "10.0.0.1", "[fd00::1]", "[64:ff9b::7f00:1]"],
)  # fmt: skip
def test_nothing_is_sent_to_an_address_that_is_not_public(
    post: Post, taker: Receiver, host: str
) -> None:
    post.hook(f"https://{host}:{taker.port}/")
    post.end()
    assert post.go(networks=()).last == "its address is not public, and this site does not allow it"
    assert taker.messages == []


def test_a_name_is_looked_up_once_and_one_private_address_refuses_it(
    post: Post, taker: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    answers = [["192.0.32.10", "127.0.0.1"], ["127.0.0.1"]]

    def look_up(name: str, port: int, **_: object) -> list[Any]:
        asked.append(name)
        found = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port)) for text in found]

    monkeypatch.setattr("gateway.notifications.addresses.socket.getaddrinfo", look_up)
    post.hook(f"https://rebinds.example:{taker.port}/")
    post.end()
    assert "not public" in post.go(networks=()).last
    assert asked == ["rebinds.example"]
    assert taker.messages == []


@pytest.mark.parametrize(
    "url",
    ["http://example.org/", "https://example.org:6379/", "https://u:p@example.org/", "file:///etc",
     "gopher://example.org/", "https://example.org/#x", "https://example.org/\r\nX: y",
     "https://ex ample.org/", "https://example.org/" + "x" * 600, "https:///x"],
)  # fmt: skip
def test_a_url_that_no_webhook_may_have_is_refused_by_its_field(post: Post, url: str) -> None:
    answer = post.ada.send("POST", HOOKS, json={"label": "x", "url": url})
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "/url"


def test_a_redirect_is_not_followed(post: Post, taker: Receiver) -> None:
    taker.statuses = [302]
    post.hook(taker.url)
    post.end()
    assert post.go().last == "it answered 302 and redirects are not followed"
    assert [message.path for message in taker.messages] == ["/hook?x=1"]


def test_a_certificate_of_another_name_or_authority_is_refused(
    post: Post, taker: Receiver, tmp_path: Path
) -> None:
    post.hook(taker.url.replace("localhost", "127.0.0.1"))  # which its certificate does not name
    post.end()
    assert post.go().last == "its certificate is not valid for this name"
    (tmp_path / "other").mkdir()
    authority, _ = make_certificate(tmp_path / "other", ("localhost",))
    made = post.hook(taker.url)
    post.site.services.webhooks.ping("ada", made["id"])
    assert post.go(ca_file=str(authority)).last == "its certificate is not valid for this name"
    assert taker.messages == []


def test_a_server_that_answers_a_byte_at_a_time_is_left_in_time(
    post: Post, taker: Receiver
) -> None:
    taker.drips = True
    post.hook(taker.url)
    post.end()
    begun = time.monotonic()
    assert post.go(deadline_s=0.5).last == "no answer within 0.5 s"
    assert time.monotonic() - begun < 3
    assert len(taker.messages) == 1


def test_what_is_refused_is_sent_again_with_the_same_id(post: Post, taker: Receiver) -> None:
    taker.statuses = [500, 503, 204]
    post.hook(taker.url)
    event = post.end()
    done = eventually(lambda: post.go().delivered, what="the delivery")
    assert done
    assert [message.headers["webhook-id"] for message in taker.messages] == [event] * 3
    assert post.last().attempts == 3
    assert post.site.services.redis.zcard("outbox:due") == 0


def test_a_kill_between_sending_and_noting_sends_it_once_more_with_the_same_id(
    post: Post, taker: Receiver
) -> None:
    post.hook(taker.url)
    event = post.end()
    program = (
        "from concurrent.futures import ThreadPoolExecutor as P\n"
        "from gateway.database import connect\nfrom gateway.settings import load_settings\n"
        "from gateway.notifications.courier import Courier\n"
        "s = load_settings()\nCourier(s, connect(s)).round(P(1))\n"
    )
    settings = post.site.services.settings
    environment = {
        **os.environ,
        **taker.environment,
        "GATEWAY_STATE": str(settings.state_directory),
        "GATEWAY_SECRET_KEY": SECRET,
        "GATEWAY_REDIS_URL": settings.redis.url,
        "GATEWAY_CRASH_AT": "outbox-sent",
    }
    killed = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert killed.returncode == 137
    assert len(taker.messages) == 1
    assert post.go().delivered is None  # taken by one that may still be at it
    post.site.services.redis.zadd("outbox:due", {f"ada/{post.last().id}": 0})  # a minute later
    assert post.go().delivered
    assert [message.headers["webhook-id"] for message in taker.messages] == [event] * 2


def test_what_nobody_takes_is_given_up_and_shown_so(post: Post, taker: Receiver) -> None:
    taker.statuses = [500]
    post.hook(taker.url)
    post.end()
    done = post.go(give_up_s=0.0)
    assert done.given_up
    [shown] = post.ada.get(f"{HOOKS}/deliveries").json["items"]
    assert (shown["last"], shown["next_try"]) == ("it answered 500", None)
    assert shown["given_up"]
    post.go()
    assert len(taker.messages) == 1


def test_nothing_is_sent_for_somebody_who_was_switched_off_or_to_what_was_removed(
    post: Post, taker: Receiver
) -> None:
    made = post.hook(taker.url)
    post.end()
    post.site.accounts.deactivate("ada")
    assert post.go().last == "its account is switched off"
    post.site.accounts.activate("ada")
    post.site.services.webhooks.ping("ada", made["id"])
    post.site.services.webhooks.remove("ada", made["id"])
    assert post.go().last == "its webhook was removed"
    assert taker.messages == []


def test_a_user_has_five_and_nobody_touches_those_of_others(post: Post, taker: Receiver) -> None:
    mine = [post.hook(taker.url)["id"] for _ in range(5)]
    full = post.ada.send("POST", HOOKS, json={"label": "x", "url": taker.url})
    assert (full.status_code, "5 webhooks" in full.text) == (409, True)
    post.site.accounts.add_user("bob", PASSWORD)
    bob: Browser = post.site.browser()
    bob.sign_in("bob")
    assert bob.get(HOOKS).json["items"] == []
    assert bob.send("DELETE", f"{HOOKS}/{mine[0]}").status_code == 404
    assert bob.send("POST", f"{HOOKS}/{mine[0]}/test").status_code == 404
    assert post.ada.send("DELETE", f"{HOOKS}/{mine[0]}").status_code == 204


def test_a_slow_receiver_of_one_user_keeps_no_message_of_another(post: Post) -> None:
    outbox = post.site.services.webhooks._outbox
    made = end_of(job := make_job(), job.attempt).made
    for user, count in (("slow", 50), ("ada", 1)):
        for n in range(count):
            outbox.add(
                Delivery(
                    id=f"{user}{n}", user=user, webhook="", event="", kind="", body="", made=made
                )
            )
    assert [delivery.user for delivery in outbox.take()].count("slow") == 2
    assert {delivery.user for delivery in outbox.take()} == {"slow"}


@pytest.mark.slow  # a whole gateway, and a job that runs
def test_the_end_of_a_real_job_reaches_its_owners_webhook(taker: Receiver) -> None:
    with live_gateway(**taker.environment) as live:
        api = live.user()
        made = api.http.post("/webhooks", json={"label": "mine", "url": taker.url}).json()
        job = api.submit(kind="dummy", options={"seconds": 0})
        eventually(lambda: taker.messages, what=lambda: live.log)
        [told] = eventually(lambda: api.http.get("/notifications").json()["items"])
        assert (told["job"], told["state"]) == (job["id"], "COMPLETED")
        assert taker.messages[0].headers["webhook-id"] == told["id"]
        assert is_signed(taker.messages[0], made["secret"])
