"""What every answer says to browsers: S34, S41, S45."""

from __future__ import annotations

import gzip
import re

import pytest

from tests.web.fixtures import SiteMaker
from tests.web.site import PASSWORD, Site, bearer, path_of

WANTED = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
}


def answers(site: Site) -> dict[str, object]:
    """Ask each route by each method, and what is wrong in each way."""
    browser = site.browser()
    browser.sign_in("root")
    found = {}
    found["404"] = browser.get("/api/v1/nothing")
    found["404 page"] = browser.get("/nothing", headers={"Accept": "text/html"})
    found["404 static"] = browser.get("/static/nothing")
    found["413"] = browser.send("POST", "/api/v1/probe/echo", data=b"x" * 1_100_000,
                                content_type="application/json")  # fmt: skip
    found["415"] = browser.send("POST", "/api/v1/probe/echo", data="x")
    found["400"] = browser.send(
        "POST", "/api/v1/probe/echo", data="{", content_type="application/json"
    )
    found["host"] = browser.get("/sign-in", headers={"Host": "evil.example"})
    found["401"] = site.browser().get("/api/v1/me")
    for rule in site.app.url_map.iter_rules():
        path = path_of(rule.rule)
        for method in ("GET", "POST", "OPTIONS"):
            found[f"{method} {path}"] = browser.send(method, path)
    return found


def test_every_answer_carries_the_security_headers(site: Site) -> None:
    seen = set()
    for name, answer in answers(site).items():
        seen.add(answer.status_code)  # type: ignore[attr-defined]
        headers = answer.headers  # type: ignore[attr-defined]
        for header, value in WANTED.items():
            assert headers.get(header) == value, (name, header)
        policy = headers["Content-Security-Policy"]
        for part in (
            "default-src",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "object-src 'none'",
        ):
            assert part in policy or policy.startswith("sandbox"), (name, part)
        assert "unsafe-inline" not in policy, name
        assert "camera=()" in headers["Permissions-Policy"], name
        assert "Server" not in headers, name
        assert headers["X-Request-ID"], name
        if not name.startswith(("GET /static", "OPTIONS /static")) and name != "404 static":
            assert headers["Cache-Control"] in {"no-store", "private, no-cache"}, name
            assert "Cookie" in headers["Vary"], name
    assert {200, 303, 400, 401, 404, 405, 413, 415, 500} <= seen


def test_over_https_browsers_are_told_to_stay_there(site: Site) -> None:
    plain = site.browser().get("/sign-in")
    assert "Strict-Transport-Security" not in plain.headers
    secure = site.browser().get("/sign-in", base_url="https://localhost")
    assert secure.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"


def test_what_a_job_wrote_is_saved_and_never_shown(site: Site) -> None:
    browser = site.browser()
    browser.sign_in("ada")
    answer = browser.get("/probe/file")
    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    disposition = answer.headers["Content-Disposition"]
    assert disposition.startswith("attachment;")
    assert "/" not in disposition
    assert "\n" not in disposition


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "evil.example:80", "localhost@evil.example",
             "a b", "[::2]", "127.0.0.2", ""],
)  # fmt: skip
def test_another_host_is_refused(site: Site, host: str) -> None:
    for path in ("/sign-in", "/api/v1/me", "/static/gateway.css"):
        assert site.browser().get(path, headers={"Host": host}).status_code == 400, path


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:99", "[::1]:8080"])
def test_the_sites_own_names_are_answered(site: Site, host: str) -> None:
    assert site.browser().get("/sign-in", headers={"Host": host}).status_code == 200


FORWARDED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.example",
}


def test_forwarded_headers_of_strangers_are_ignored(site: Site) -> None:
    answer = site.browser().get("/sign-in", headers=FORWARDED)
    assert answer.status_code == 200
    assert "Strict-Transport-Security" not in answer.headers
    assert site.access_lines()[-1]["address"] == "192.0.2.1"


def test_forwarded_headers_of_the_sites_own_proxy_count_from_the_right(make: SiteMaker) -> None:
    site = make(GATEWAY_SERVER__TRUSTED_PROXIES="1", GATEWAY_URL="https://fits.example.org")
    headers = {
        "X-Forwarded-For": "198.51.100.66, 203.0.113.9",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "fits.example.org",
    }
    answer = site.browser().get("/sign-in", headers=headers)
    assert answer.status_code == 200
    assert "Strict-Transport-Security" in answer.headers
    assert site.access_lines()[-1]["address"] == "203.0.113.9"
    evil = site.browser().get("/sign-in", headers=FORWARDED)
    assert evil.status_code == 400


def test_guesses_are_not_spread_by_a_forged_address(site: Site) -> None:
    statuses = [
        site.browser().send(
            "POST", "/api/v1/auth/login", json={"name": "ada", "password": "wrong wrong"},
            headers={"X-Forwarded-For": f"203.0.113.{n}"},
        ).status_code
        for n in range(8)
    ]  # fmt: skip
    assert statuses[-1] == 429


def test_hostile_words_stay_words_on_the_page(site: Site) -> None:
    browser = site.browser()
    browser.sign_in("ada")
    hostile = "<img src=x onerror=alert(1)>{{7*7}}"
    browser.send("POST", "/api/v1/tokens", json={"label": hostile})
    text = browser.get("/tokens").text
    assert "<img src=x" not in text
    assert "&lt;img src=x onerror=alert(1)&gt;{{7*7}}" in text
    assert PASSWORD not in text


def test_a_token_in_the_header_is_never_cached(site: Site) -> None:
    browser = site.browser()
    browser.sign_in("ada")
    secret = browser.send("POST", "/api/v1/tokens", json={"label": "x"}).json["token"]
    answer = site.browser().get("/api/v1/me", headers=bearer(secret))
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Authorization" in answer.headers["Vary"]


def test_styles_and_scripts_are_fetched_once_packed_and_without_a_chain(site: Site) -> None:
    browser = site.browser()
    page = browser.get("/sign-in").text
    (style,) = re.findall(r'href="(/static/[^"]+/gateway.css)"', page)
    assert re.fullmatch("/static/~[0-9a-f]{12}/gateway.css", style)
    plain = browser.get(style)
    assert plain.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert "Content-Encoding" not in plain.headers
    for _ in range(2):
        packed = browser.get(style, headers={"Accept-Encoding": "gzip"})
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.data) == plain.data
        assert packed.headers["ETag"] != plain.headers["ETag"]
    assert "Accept-Encoding" in packed.headers["Vary"]
    assert len(packed.data) < 0.4 * len(plain.data)
    for other in ("/static/gateway.css", "/static/~0123456789ab/gateway.css"):
        answer = browser.get(other)
        assert (answer.data, answer.headers["Cache-Control"]) == (plain.data, "no-cache")
    part = browser.get(style, headers={"Accept-Encoding": "gzip", "Range": "bytes=0-9"})
    assert (part.status_code, part.data) == (206, plain.data[:10])
    missing = browser.get(style.replace("gateway.css", "nothing.css"))
    assert missing.status_code == 404
    assert "immutable" not in missing.headers.get("Cache-Control", "")
    for strange in ("~", "~/", "~x/../../base.html", "~x/%2e%2e/base.html"):
        assert browser.get(f"/static/{strange}").status_code == 404, strange


HEAVIEST = 60_000
"""Bytes of a page's own styles and scripts, packed: a second on a line of 0.5 Mbit/s."""


@pytest.mark.parametrize("module", ["job", "list", "compare", "fit-form", "help", "page"])
def test_what_a_page_needs_is_named_at_once_and_light(site: Site, module: str) -> None:
    browser = site.browser()
    source = f'<script type="module" src="/static/js/{module}.js"></script>'
    with site.app.app_context():
        page = site.app.jinja_env.from_string(source).render()
    named = re.findall(r'(?:href|src)="([^"]+)"', page)
    bodies = {}
    for path in named:
        answer = browser.get(path, headers={"Accept-Encoding": "gzip"})
        assert answer.status_code == 200, path
        bodies[path.rpartition("/")[2]] = answer.data
    imports = {
        name
        for body in bodies.values()
        for name in re.findall(r'from "\./([^"]+)"', gzip.decompress(body).decode())
    }
    assert imports <= set(bodies)
    assert sum(map(len, bodies.values())) < HEAVIEST
