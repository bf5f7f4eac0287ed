"""Who is let in no more is out at once, also of the stream that is open already."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest

from gateway.records import now, time_text
from gateway.services import open_gateway
from gateway.settings import load_settings
from gateway.web.sse import LOOK_S
from tests.live import PASSWORD, Api, LiveGateway

NEW = "six slow storks stand"
Who = dict[str, str]
"""The headers that somebody is known by."""


def cookies_of(live: LiveGateway, name: str) -> Who:
    """Sign a browser in."""
    answer = httpx.post(
        f"{live.url}/api/v1/auth/login",
        json={"name": name, "password": PASSWORD},
        headers={"Origin": live.url},
    )
    assert answer.status_code == 200, answer.text
    kept = [line.partition(";")[0] for line in answer.headers.get_list("Set-Cookie")]
    return {
        "Cookie": "; ".join(kept),
        "Origin": live.url,
        "X-CSRF-Token": answer.json()["csrf_token"],
    }


def token_of(live: LiveGateway, name: str) -> Who:
    return {"Authorization": f"Bearer {live.tokens[name]}"}


def switch_off(api: Api, _who: Who) -> None:
    api.live.command("user", "off", api.name)


def change_password(api: Api, _who: Who) -> None:
    api.live.command("user", "password", api.name, "--password-stdin", stdin=f"{NEW}\n")


def sign_out(api: Api, who: Who) -> None:
    assert httpx.post(f"{api.live.url}/api/v1/auth/logout", headers=who).status_code == 204


def let_it_expire(api: Api, _who: Who) -> None:
    """Move the time, which can only be done in the store."""
    store = open_gateway(load_settings(api.live.environment)).redis
    yesterday = time_text(now() - timedelta(days=1))
    (key,) = [
        key for key in store.scan_iter("token:*") if store.hget(key, "user") == f'"{api.name}"'
    ]
    store.hset(key, "expires", f'"{yesterday}"')
    store.close()


@contextmanager
def stream(api: Api, who: Who, job: str) -> Iterator[httpx.Response]:
    url = f"{api.live.url}/api/v1/jobs/{job}/events"
    with httpx.stream("GET", url, headers=who, timeout=60) as answer:
        assert answer.status_code == 200
        yield answer


ENDS: list[Any] = [
    pytest.param(token_of, switch_off, id="token, user switched off"),
    pytest.param(token_of, change_password, id="token, password changed"),
    pytest.param(token_of, sign_out, id="token, revoked"),
    pytest.param(token_of, let_it_expire, id="token, expired"),
    pytest.param(cookies_of, switch_off, id="session, user switched off"),
    pytest.param(cookies_of, change_password, id="session, password changed"),
    pytest.param(cookies_of, sign_out, id="session, signed out"),
]


@pytest.mark.parametrize(("known_by", "end"), ENDS)
def test_access_ends_for_requests_pages_and_open_streams(
    api: Api, known_by: Callable[[LiveGateway, str], Who], end: Callable[[Api, Who], None]
) -> None:
    live, who = api.live, known_by(api.live, api.name)
    job = api.submit(kind="dummy", options={"seconds": 600})["id"]
    with stream(api, who, job) as answer:
        lines = answer.iter_lines()
        assert any(line.startswith("event: job") for line in lines)

        end(api, who)

        ended = time.monotonic()
        for path in ("/me", "/jobs", f"/jobs/{job}", f"/jobs/{job}/events"):
            refused = httpx.get(f"{live.url}/api/v1{path}", headers=who)
            assert refused.status_code == 401, path
            assert "WWW-Authenticate" in refused.headers
        page = httpx.get(f"{live.url}/jobs", headers={**who, "Accept": "text/html"})
        assert page.status_code == 303
        assert page.headers["Location"].startswith("/sign-in")
        list(lines)  # until its end
        assert time.monotonic() - ended < 2 * LOOK_S + 5


def test_a_reader_is_out_at_once_when_a_share_is_taken_back(api: Api) -> None:
    live, reader = api.live, api.live.user()
    job = api.submit(kind="dummy", options={"seconds": 600})["id"]
    who = token_of(live, reader.name)
    share = api.http.post(f"/jobs/{job}/shares", json={"user": reader.name}).json()
    with stream(api, who, job) as answer:
        lines = answer.iter_lines()
        assert any(line.startswith("event: job") for line in lines)
        assert api.http.delete(f"/jobs/{job}/shares/{share['id']}").status_code == 204
        for path in ("", "/events", "/log", "/script"):
            assert reader.http.get(f"/jobs/{job}{path}").status_code == 404, path
        assert "event: job" not in list(lines), "it ends, and says nothing more"
    assert api.http.post(f"/jobs/{job}/cancel").status_code == 202


def test_a_stream_goes_on_for_who_is_still_let_in(api: Api) -> None:
    """The other side: looking again ends no stream by itself."""
    job = api.submit(kind="dummy", options={"seconds": 600})["id"]
    with stream(api, token_of(api.live, api.name), job) as answer:
        lines = answer.iter_lines()
        next(lines)
        began = time.monotonic()
        while time.monotonic() - began < 2 * LOOK_S:
            assert api.http.get("/me").status_code == 200
            time.sleep(0.2)  # it is the passing of time that must not end it
        assert api.http.post(f"/jobs/{job}/cancel").status_code == 202
        assert '"CANCELLED"' in "".join(lines)
