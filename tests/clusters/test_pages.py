"""The page of one's accounts on clusters, by hand-made requests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clusters.making import CLUSTER
from tests.scheduler.sshd import make_key
from tests.web.site import Browser, Site

PAGE = "/account/clusters"
FORM = f"{PAGE}/{CLUSTER}"


@pytest.fixture
def ada(site: Site) -> Browser:
    browser = site.browser()
    browser.sign_in("ada")
    return browser


def test_the_page_leads_from_nothing_to_the_line_and_back(site: Site, ada: Browser) -> None:
    page = ada.get(PAGE).text
    assert "you have not said who you are there" in page
    assert "one trust group" in page  # of the local cluster
    answer = ada.post_form(FORM, PAGE, login="alovelace", key="keep")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{PAGE}#{CLUSTER}")
    page = ada.get(PAGE).text
    account = site.services.cluster_accounts.find(CLUSTER, "ada")
    assert account
    assert f"restrict {account.public_key} bumps-gateway:ada@{CLUSTER}" in page
    assert account.sealed_key not in page
    assert 'value="alovelace"' in page

    for _ in range(2):  # in two tabs
        assert ada.post_form(f"{FORM}/remove", PAGE).status_code == 303
    assert "you have not said who you are there" in ada.get(PAGE).text


def test_a_key_of_ones_own_is_taken_and_never_shown(ada: Browser, tmp_path: Path) -> None:
    path = make_key(tmp_path / "own", passphrase="four calm otters")  # noqa: S106
    text = path.read_text()
    words = {"login": "al", "key": "mine", "private_key": text}
    wrong = ada.post_form(FORM, PAGE, **words, passphrase="no otters at all")  # noqa: S106
    assert wrong.status_code == 422
    assert 'id="wrong-passphrase"' in wrong.text
    assert text.splitlines()[2] not in wrong.text
    assert "no otters at all" not in wrong.text
    assert 'value="al"' in wrong.text
    right = ada.post_form(FORM, PAGE, **words, passphrase="four calm otters")  # noqa: S106
    assert right.status_code == 303
    page = ada.get(PAGE).text
    assert path.with_suffix(".pub").read_text().split()[1] in page
    assert text.splitlines()[2] not in page


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"login": ""}, "login"),
        ({"login": "<img src=x>"}, "login"),
        ({"login": "al", "key": "mine"}, "private_key"),
        ({"login": "al", "key": "mine", "private_key": "x" * 20_000}, "private_key"),
        ({"login": "al", "key": "mine", "private_key": "junk"}, "private_key"),
        ({"login": "al", "key": "theirs"}, "key"),
    ],
)
def test_a_wrong_form_is_marked_at_its_field(
    site: Site, ada: Browser, fields: dict[str, str], field: str
) -> None:
    answer = ada.post_form(FORM, PAGE, **fields)
    assert answer.status_code == 422
    assert f'id="wrong-{field}"' in answer.text
    assert "<img src=x>" not in answer.text
    assert site.services.cluster_accounts.find(CLUSTER, "ada") is None


def test_what_no_form_has_is_refused(ada: Browser) -> None:
    assert ada.post_form(FORM, PAGE, login="al", certificate_file="/etc/x").status_code == 422
    assert ada.post_form(f"{PAGE}/local", PAGE, login="al").status_code == 409
    assert ada.post_form(f"{PAGE}/nowhere", PAGE, login="al").status_code == 404
    assert ada.client.post(FORM, data={"login": "al"}).status_code == 403  # no token
