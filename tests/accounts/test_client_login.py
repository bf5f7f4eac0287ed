"""``bumps-remote login`` against the real pages: by a real browser, and by letters."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser

from tests.client.site import Shell, make_shell
from tests.helpers import eventually
from tests.web.chromium import served
from tests.web.site import PASSWORD, Site


@pytest.fixture
def origin(site: Site) -> Iterator[str]:
    with served(site.app) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Give a computer on which a browser would open: it notes the page."""
    laptop = make_shell(tmp_path)
    program = laptop.write("browser", f'#!/bin/sh\nprintf %s "$1" > {laptop.work}/page\n')
    program.chmod(0o755)
    laptop.environment["BROWSER"] = f"{program} %s"
    return laptop


def opened(shell: Shell) -> str:
    """Wait for the page that the client opens."""
    note = shell.work / "page"
    return str(eventually(lambda: note.read_text(encoding="utf-8") if note.exists() else ""))


def letters(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"\b[A-Z]{4}-[A-Z]{4}\b", line):
            return found[0]
    raise AssertionError("no letters were shown")


def labels(site: Site) -> list[str]:
    browser = site.browser()
    browser.sign_in("ada")
    return [row["label"] for row in browser.get("/api/v1/tokens").json["items"]]


@pytest.mark.browser
def test_a_browser_signs_the_command_line_in_and_logout_ends_it(
    browser: Browser, site: Site, origin: str, shell: Shell
) -> None:
    words = ("login", "--browser", "--server", origin, "--profile=lab", "--label=my laptop")
    with shell.started(*words) as process:
        page = opened(shell)
        asked = parse_qs(urlsplit(page).query)
        back, state = asked["redirect_uri"][0], asked["state"][0]
        strays = [
            httpx.get(f"{back}{more}", params={"code": "bgc_x", "state": said}, headers=headers)
            for more, said, headers in (
                ("", "of somebody else", {}),
                ("", state, {"Host": "evil.example"}),  # a name that was turned to this computer
                ("/more", state, {}),
            )
        ]
        context = browser.new_context()
        tab = context.new_page()
        tab.goto(page)
        tab.fill("#name", "ada")
        tab.fill("#password", PASSWORD)
        tab.press("#password", "Enter")
        tab.get_by_role("button", name="Yes, sign it in").click()
        tab.get_by_role("heading", name="Signed in").wait_for()
        context.close()
        out, err = process.communicate(timeout=60)

    assert [stray.status_code for stray in strays] == [404] * 3
    assert process.returncode == 0, err
    assert out == f"logged in to {origin} as ada\n"
    assert labels(site) == ["my laptop"]
    [row] = shell.run("profiles", "--json").json["items"]
    assert (row["profile"], row["name"], row["default"]) == ("lab", "ada", True)
    assert shell.run("list", "--profile=lab", "--json").json == {"items": []}
    assert shell.run("logout", "--profile", "lab", "--json").json["revoked"]
    assert labels(site) == []
    assert "bumps-remote login" in shell.run("list", "--profile=lab", code=2).err


def test_letters_sign_a_computer_without_a_browser_in(
    site: Site, origin: str, shell: Shell
) -> None:
    ada = site.browser()
    ada.sign_in("ada")
    for _ in range(2):  # the second replaces the first, and leaves no token behind
        with shell.started("login", origin, "--device", "--json") as process:
            ada.post_form("/device", user_code=letters(process), decision="allow")
            out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert json.loads(out)["name"] == "ada"
        assert len(labels(site)) == 1


def test_a_no_on_the_page_is_an_auth_failure(site: Site, origin: str, shell: Shell) -> None:
    ada = site.browser()
    ada.sign_in("ada")
    with shell.started("login", origin, "--device") as process:
        ada.post_form("/device", user_code=letters(process), decision="deny")
        _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "somebody said no" in err
    assert shell.run("profiles", "--json").json == {"items": []}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--device", "--browser"), "one way to sign in is enough"),
        ((), "nobody is here to be asked"),
        (("--device", "--profile=../x"), "cannot be a profile"),
        (("--device", "--days=-1"), "0<=x<=3660"),
    ],
)
def test_a_wrong_way_to_sign_in_is_a_usage_error(
    shell: Shell, words: tuple[str, ...], message: str
) -> None:
    assert message in shell.run("login", "http://127.0.0.1:9", *words, code=2).err
