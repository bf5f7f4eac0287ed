"""Mail by STARTTLS with a sign-in: nothing of worth goes before the line is safe."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.notifications.submission import USER, WORD, Desk, submission_desk
from tests.notifications.test_mail import ADA
from tests.notifications.test_mail import Desk as Office
from tests.web.fixtures import SiteMaker


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with submission_desk(tmp_path) as running:
        yield running


def said_in_clear(desk: Desk) -> list[bytes]:
    """List the verbs that came before TLS; neither the password nor an address is in any line."""
    secrets = (WORD.encode(), base64.b64encode(f"\0{USER}\0{WORD}".encode()), ADA.encode())
    assert not [line for line in desk.in_clear for secret in secrets if secret in line]
    return [line.split()[0].upper() for line in desk.in_clear if line.strip()]


def test_mail_is_sent_after_starttls_and_a_sign_in(make: SiteMaker, desk: Desk) -> None:
    office = Office(make(**desk.environment))
    assert office.put().status_code == 200
    assert office.go().delivered
    assert (desk.signed_in, [mail["To"] for mail in desk.mails]) == ([True], [ADA])
    assert said_in_clear(desk) == [b"EHLO", b"STARTTLS"]


def test_a_server_that_offers_no_tls_hears_no_password(make: SiteMaker, desk: Desk) -> None:
    desk.offers_tls = False
    office = Office(make(**desk.environment))
    office.put()
    last = office.go()
    assert (last.delivered, desk.mails, desk.signed_in) == (None, [], [])
    assert "not safely" in last.last
    assert b"AUTH" not in said_in_clear(desk)


def test_a_server_with_anothers_certificate_hears_no_password(
    make: SiteMaker, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    with submission_desk(tmp_path / "other", "mail.example") as desk:
        office = Office(make(**desk.environment))
        office.put()
        last = office.go()
    assert (last.delivered, desk.mails, desk.signed_in) == (None, [], [])
    assert said_in_clear(desk) == [b"EHLO", b"STARTTLS"]


def test_a_wrong_password_is_said_and_tried_again(make: SiteMaker, desk: Desk) -> None:
    desk.password_file.write_text("another\n")
    office = Office(make(**desk.environment))
    office.put()
    last = office.go()
    assert (last.delivered, desk.mails) == (None, [])
    assert "535" in last.last
    assert "another" not in last.last
    desk.password_file.write_text(f"{WORD}\n")
    while not office.go().delivered:
        assert office.last().given_up is None
    assert desk.signed_in[-1]
