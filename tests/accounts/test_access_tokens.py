"""Access tokens under attack: S20, S21."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.accounts.tokens import derive_key
from gateway.ids import new_id
from gateway.records import now
from tests.redis_server import private_redis
from tests.web.fixtures import SiteMaker
from tests.web.site import PASSWORD, SECRET, Site, bearer, make_site

KEY = derive_key(SECRET.encode(), "access token")


def part(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def claims_of(token: str, **changed: Any) -> dict[str, Any]:
    claims = jwt.decode(token, options={"verify_signature": False})
    claims = {**claims, **changed}
    return {key: value for key, value in claims.items() if value is not None}


def signed(claims: dict[str, Any], key: bytes = KEY, **header: Any) -> str:
    names = {"typ": "at+jwt", **header}
    return jwt.encode(claims, key, algorithm="HS256", headers=names)


def unsigned(token: str, algorithm: str) -> str:
    return f"{part({'alg': algorithm, 'typ': 'at+jwt'})}.{token.split('.')[1]}."


def with_header(token: str, **header: Any) -> str:
    """Sign by hand: the library itself would refuse to write some of these."""
    head = part({"alg": "HS256", "typ": "at+jwt", **header})
    text = f"{head}.{token.split('.')[1]}"
    mac = hmac.new(KEY, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def public_pem() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def with_pem(token: str) -> str:
    text = f"{part({'alg': 'HS256', 'typ': 'at+jwt'})}.{token.split('.')[1]}"
    mac = hmac.new(public_pem(), text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


HOUR = timedelta(hours=1)
HOSTILE: dict[str, Callable[[str], str]] = {
    "alg none": lambda token: unsigned(token, "none"),
    "alg None": lambda token: unsigned(token, "None"),
    "alg nOnE": lambda token: unsigned(token, "nOnE"),
    "another key": lambda token: signed(claims_of(token), b"k" * 32),
    "public PEM as key": with_pem,
    "HS512": lambda token: jwt.encode(
        claims_of(token), KEY * 2, algorithm="HS512", headers={"typ": "at+jwt"}
    ),
    "kid is a path": lambda token: with_header(token, kid="../../dev/null"),
    "embedded jwk": lambda token: with_header(token, jwk={"kty": "oct", "k": part("k")}),
    "jku": lambda token: with_header(token, jku="https://evil.example/keys"),
    "x5u": lambda token: with_header(token, x5u="https://evil.example/cert"),
    "unknown crit": lambda token: with_header(token, crit=["evil"], evil=1),
    "typ JWT": lambda token: with_header(token, typ="JWT"),
    "no typ": lambda token: with_header(token, typ=None),
    "expired": lambda token: signed(claims_of(token, exp=now() - HOUR)),
    "not yet": lambda token: signed(claims_of(token, nbf=now() + HOUR)),
    "made tomorrow": lambda token: signed(claims_of(token, iat=now() + 24 * HOUR)),
    "no exp": lambda token: signed(claims_of(token, exp=None)),
    "no iat": lambda token: signed(claims_of(token, iat=None)),
    "no nbf": lambda token: signed(claims_of(token, nbf=None)),
    "no sub": lambda token: signed(claims_of(token, sub=None)),
    "no jti": lambda token: signed(claims_of(token, jti=None)),
    "no sid": lambda token: signed(claims_of(token, sid=None)),
    "no iss": lambda token: signed(claims_of(token, iss=None)),
    "no aud": lambda token: signed(claims_of(token, aud=None)),
    "wrong aud": lambda token: signed(claims_of(token, aud="another")),
    "several aud": lambda token: signed(claims_of(token, aud=["bumps-gateway", "another"])),
    "wrong iss": lambda token: signed(claims_of(token, iss="https://evil.example")),
    "sub of another user": lambda token: signed(claims_of(token, sub="root")),
    "unknown session": lambda token: signed(claims_of(token, sid=new_id())),
    "session is a list": lambda token: signed(claims_of(token, sid=["a"])),
    "session is a key": lambda token: signed(claims_of(token, sid="*")),
    "unknown scope": lambda token: signed(claims_of(token, scope="read everything")),
    "no signature": lambda token: token.rpartition(".")[0] + ".",
    "two parts": lambda token: token.rpartition(".")[0],
    "cut": lambda token: token[:-3],
    "flipped": lambda token: token[:-5] + ("A" if token[-5] != "A" else "B") + token[-4:],
    "not base64": lambda _: "a.b.c",
    "empty": lambda _: "",
    "a megabyte": lambda token: token + "A" * 1_000_000,
    "deep payload": lambda _: (
        f"{part({'alg': 'HS256', 'typ': 'at+jwt'})}."
        + base64.urlsafe_b64encode(b"[" * 2500).decode().rstrip("=")
        + ".AAAA"
    ),
    "lone surrogate": lambda token: token + "\u00ff",
}


def session_token(site: Site, name: str = "ada") -> str:
    browser = site.browser()
    browser.sign_in(name)
    return browser.cookie("access") or ""


def test_a_good_access_token_is_taken_in_the_header(site: Site) -> None:
    token = session_token(site)
    assert site.browser().get("/api/v1/me", headers=bearer(token)).json["name"] == "ada"
    again = signed(claims_of(token))
    assert site.browser().get("/api/v1/me", headers=bearer(again)).status_code == 200


def test_every_bad_access_token_gets_the_same_401_quickly(site: Site) -> None:
    token = session_token(site)
    browser = site.browser()
    bodies = set()
    for name, spoil in HOSTILE.items():
        headers = {**bearer(spoil(token)), "X-Request-ID": "the-same-id"}
        began = time.thread_time()  # what others do on this machine does not count
        answer = browser.get("/api/v1/me", headers=headers)
        took = time.thread_time() - began
        assert answer.status_code == 401, name
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"], name
        assert answer.headers["WWW-Authenticate"].startswith("Bearer "), name
        assert took < 0.05, name
        bodies.add(answer.text)
    assert len(bodies) == 1


def test_a_refresh_token_is_no_access_token(site: Site) -> None:
    browser = site.browser()
    browser.sign_in("ada")
    refresh = browser.cookie("refresh") or ""
    assert site.browser().get("/api/v1/me", headers=bearer(refresh)).status_code == 401
    other = site.browser()
    other.set_cookie("access", refresh)
    assert other.get("/api/v1/me").status_code == 401


def test_an_access_token_is_no_refresh_token(site: Site) -> None:
    token = session_token(site)
    browser = site.browser()
    browser.set_cookie("refresh", token)
    assert browser.send("POST", "/api/v1/auth/refresh").status_code == 401


def test_nobody_gets_401_without_an_error_code(site: Site) -> None:
    answer = site.browser().get("/api/v1/me")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="bumps-gateway"'


def test_a_token_in_the_query_is_not_looked_at(site: Site) -> None:
    token = session_token(site)
    assert site.browser().get(f"/api/v1/me?access_token={token}").status_code == 401


def test_a_bearer_token_wins_over_cookies(site: Site) -> None:
    browser = site.browser()
    browser.sign_in("ada")
    bobs = session_token(site, "bob")
    assert browser.get("/api/v1/me", headers=bearer(bobs)).json["name"] == "bob"
    assert browser.get("/api/v1/me", headers=bearer("nonsense")).status_code == 401


def test_a_narrower_scope_in_the_token_holds(site: Site) -> None:
    narrow = signed(claims_of(session_token(site), scope="read"))
    browser = site.browser()
    assert browser.get("/api/v1/me", headers=bearer(narrow)).status_code == 200
    answer = browser.send("POST", "/api/v1/tokens", headers=bearer(narrow), json={"label": "x"})
    assert answer.status_code == 403
    assert 'error="insufficient_scope", scope="submit"' in answer.headers["WWW-Authenticate"]


def test_a_wider_scope_in_the_token_gives_nothing(site: Site) -> None:
    wide = signed(claims_of(session_token(site), scope="read submit admin"))
    assert site.browser().get("/api/v1/users", headers=bearer(wide)).status_code == 403


def test_a_token_of_a_site_with_another_address_is_refused(make: SiteMaker, site: Site) -> None:
    token = session_token(site)
    other = make(GATEWAY_URL="https://fits.example.org")
    answer = other.browser().get(
        "/api/v1/me", headers={**bearer(token), "Host": "fits.example.org"}
    )
    assert answer.status_code == 401


def test_with_the_store_away_nobody_is_let_in(tmp_path: Path) -> None:
    with private_redis() as socket:
        site = make_site(socket, tmp_path / "state")
        site.accounts.add_user("ada", PASSWORD)
        token = session_token(site)
        assert site.browser().get("/api/v1/me", headers=bearer(token)).status_code == 200
    answer = site.browser().get("/api/v1/me", headers=bearer(token))
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.mimetype == "application/problem+json"
    assert str(socket) not in answer.text
    page = site.browser().get("/sign-in", headers={"Accept": "text/html"})
    assert page.status_code == 200  # a stranger's page asks nothing of the store
    assert site.browser().sign_in("ada").status_code == 503
