"""The store hangs or is gone: 503 within three seconds everywhere, and nothing is lost."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import pytest

from tests.api.test_ended_access import cookies_of
from tests.helpers import eventually
from tests.live import Api, LiveGateway, live_gateway
from tests.redis_server import Store, private_store

DUMMY: dict[str, Any] = {"kind": "dummy", "options": {"seconds": 0}}
LIMIT_S = 3.0
PAGES = ("/jobs", "/problems", "/tokens", "/account")
ROUTES = ("/me", "/jobs", "/problems", "/tokens", "/clusters")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A gateway on a store of its own, which nobody starts again."""

    store: Store
    live: LiveGateway


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with private_store() as store, live_gateway(GATEWAY_REDIS_URL=store.url) as live:
        yield Stage(store=store, live=live)


AWAY: dict[str, tuple[Callable[[Store], None], Callable[[Store], None]]] = {
    "hangs": (Store.freeze, Store.thaw),
    "is gone": (Store.stop, Store.start),
}


@pytest.fixture(params=AWAY)
def away(
    request: pytest.FixtureRequest, stage: Stage
) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """Give the ways to take the store away and to bring it back; it is back afterwards."""
    take, bring = AWAY[request.param]
    is_away = False

    def go() -> None:
        nonlocal is_away
        take(stage.store)
        is_away = True

    def come() -> None:
        nonlocal is_away
        if is_away:
            bring(stage.store)
            is_away = False
            eventually(stage.live.ready, what="the way back")

    yield go, come
    come()


def took_s(answer: httpx.Response) -> float:
    return answer.elapsed.total_seconds()


def all_at_once(asked: Sequence[Callable[[], httpx.Response]]) -> list[httpx.Response]:
    """Ask as several people do: a store that hangs costs each of them two seconds."""
    with ThreadPoolExecutor(len(asked)) as pool:
        return list(pool.map(lambda ask: ask(), asked))


def is_unavailable(answer: httpx.Response) -> bool:
    assert answer.status_code == 503, f"{answer.url}: {answer.status_code} {answer.text[:200]}"
    assert took_s(answer) < LIMIT_S, f"{answer.url} took {took_s(answer):.1f} s"
    assert int(answer.headers["Retry-After"]) > 0
    assert "Traceback" not in answer.text
    assert "redis" not in answer.text.lower()
    return True


def test_each_route_says_503_in_time_and_a_key_makes_its_job_later(
    stage: Stage, away: tuple[Callable[[], None], Callable[[], None]]
) -> None:
    go, come = away
    api = stage.live.user()
    api.http.timeout = httpx.Timeout(10)
    done = api.wait(api.submit(**DUMMY)["id"])
    key = {"Idempotency-Key": uuid.uuid4().hex}
    go()
    job = f"/jobs/{done['id']}"
    gets = [partial(api.http.get, path) for path in (*ROUTES, job, f"{job}/events")]
    post = partial(api.http.post, json=DUMMY, headers=key)
    for answer in all_at_once([*gets, partial(post, "/jobs"), partial(post, "/jobs/preview")]):
        assert is_unavailable(answer)
        assert answer.json()["type"] == "/errors/unavailable"
    assert httpx.get(f"{stage.live.url}/healthz").status_code == 200
    come()
    assert api.job(done["id"])["state"] == "COMPLETED"
    made = api.http.post("/jobs", json=DUMMY, headers=key)
    assert made.status_code == 202, made.text
    again = api.http.post("/jobs", json=DUMMY, headers=key)
    assert again.json()["id"] == made.json()["id"]
    assert api.wait(made.json()["id"])["state"] == "COMPLETED"
    assert api.http.get("/jobs").json()["total"] == 2


def test_readiness_says_which_part_is_away_in_time(
    stage: Stage, away: tuple[Callable[[], None], Callable[[], None]]
) -> None:
    away[0]()
    answer = httpx.get(f"{stage.live.url}/readyz", timeout=10)
    assert answer.status_code == 503
    assert took_s(answer) < LIMIT_S
    assert "does not answer" in answer.json()["checks"]["store"]


def test_pages_say_503_in_time_as_pages_and_nobody_is_signed_out(
    stage: Stage, away: tuple[Callable[[], None], Callable[[], None]]
) -> None:
    go, come = away
    name = stage.live.user().name
    html = {**cookies_of(stage.live, name), "Accept": "text/html"}
    go()
    get = partial(httpx.get, headers=html, timeout=10)
    for answer in all_at_once([partial(get, stage.live.url + path) for path in PAGES]):
        assert is_unavailable(answer)
        assert answer.headers["Content-Type"].startswith("text/html")
        assert "<h1" in answer.text
        assert "Set-Cookie" not in answer.headers
    assert httpx.get(f"{stage.live.url}/static/gateway.css").status_code == 200
    come()
    assert httpx.get(f"{stage.live.url}/jobs", headers=html).status_code == 200


def test_signing_in_says_503_in_time_and_counts_no_guess(
    stage: Stage, away: tuple[Callable[[], None], Callable[[], None]]
) -> None:
    go, come = away
    api = Api(stage.live, stage.live.user().name)
    go()
    wrong = {"name": api.name, "password": "wrong wrong wrong"}
    url = f"{stage.live.url}/api/v1/auth/login"
    guess = partial(httpx.post, url, json=wrong, headers={"Origin": stage.live.url}, timeout=10)
    for answer in all_at_once([guess] * 6):  # one more than are free
        assert is_unavailable(answer)
    come()
    assert cookies_of(stage.live, api.name)
