"""Where the token lies, and where it may go."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import keyring as real_keyring
import pytest
from bumps_remote.config import (
    Server,
    check_url,
    config_file,
    find_server,
    forget,
    load_config,
    remember,
    state_folder,
    use_profile,
)
from bumps_remote.errors import AuthError, UsageError

from tests.client.locked import FileKeyring

URL = "https://fits.example.org"
T, E, N = "a token", "another one", "one of the environment"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("BUMPS_REMOTE_URL", "BUMPS_REMOTE_TOKEN", "BUMPS_REMOTE_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BUMPS_REMOTE_KEYRING", "off")
    return tmp_path


def test_a_token_is_kept_for_its_owner_alone() -> None:
    remember(Server(url=URL, token=T, name="kim"))

    assert config_file().stat().st_mode & 0o777 == 0o600
    assert config_file().parent.stat().st_mode & 0o777 == 0o700
    kept = Server(url=URL, token=T, name="kim", profile="fits.example.org")
    assert find_server() == kept


def test_a_token_that_others_can_read_is_not_used() -> None:
    remember(Server(url=URL, token=T))
    config_file().chmod(0o644)

    with pytest.raises(UsageError, match="can be read by others: chmod 600"):
        find_server()


def test_the_last_login_is_the_server_that_is_meant() -> None:
    remember(Server(url=URL, token=T))
    remember(Server(url="https://other.example.org", token=E))

    assert find_server().token == E
    assert find_server(URL).token == T
    forget("other.example.org")
    assert find_server().token == T


def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    remember(Server(url=URL, token=T))
    monkeypatch.setenv("BUMPS_REMOTE_URL", "https://env.example.org/")
    monkeypatch.setenv("BUMPS_REMOTE_TOKEN", E)

    assert find_server() == Server(url="https://env.example.org", token=E)


def test_a_token_goes_to_no_other_server() -> None:
    remember(Server(url=URL, token=T))

    with pytest.raises(AuthError, match=r"not logged in to https://evil\.example\.org"):
        find_server("https://evil.example.org")


def test_a_profile_is_a_server_with_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    remember(Server(url=URL, token=T, profile="one"))
    remember(Server(url=URL, token=E, profile="two"))

    assert find_server().token == E
    assert find_server(profile="one").token == T
    monkeypatch.setenv("BUMPS_REMOTE_PROFILE", "one")
    assert find_server().token == T
    monkeypatch.setenv("BUMPS_REMOTE_TOKEN", N)
    assert find_server(profile="one").token == T
    assert find_server().token == N
    monkeypatch.delenv("BUMPS_REMOTE_TOKEN")
    monkeypatch.delenv("BUMPS_REMOTE_PROFILE")
    use_profile("one")
    assert find_server().token == T


def test_a_profile_that_is_not_there_or_elsewhere_is_named() -> None:
    remember(Server(url=URL, token=T, profile="one"))

    with pytest.raises(UsageError, match=r"no profile 'tow' \(there are: one\)"):
        find_server(profile="tow")
    with pytest.raises(UsageError, match="the profile one is https://fits"):
        find_server("https://evil.example.org", profile="one")
    with pytest.raises(UsageError, match="cannot be a profile"):
        remember(Server(url=URL, token=T, profile="a b"))


def test_what_was_written_before_there_were_profiles_is_read() -> None:
    config_file().parent.mkdir(parents=True)
    servers = {URL: {"token": T, "name": "kim", "expires": None, "insecure": False}}
    config_file().write_text(json.dumps({"format": 1, "default": URL, "servers": servers}))
    config_file().chmod(0o600)

    assert find_server() == Server(url=URL, token=T, name="kim", profile="fits.example.org")


@pytest.fixture
def keyring(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a computer a keyring; answer the file in which it keeps its secrets."""
    monkeypatch.delenv("BUMPS_REMOTE_KEYRING")
    monkeypatch.setenv("KEYRING_FILE", str(home / "ring"))
    before = real_keyring.get_keyring()
    real_keyring.set_keyring(FileKeyring())
    yield home / "ring"
    real_keyring.set_keyring(before)


def test_a_token_is_in_the_keyring_and_in_no_file_of_ours(keyring: Path) -> None:
    remember(Server(url=URL, token=T, name="kim"))

    assert T not in config_file().read_text(encoding="utf-8")
    assert T in keyring.read_text(encoding="utf-8")
    assert find_server().token == T
    forget("fits.example.org")
    assert T not in keyring.read_text(encoding="utf-8")


@pytest.mark.usefixtures("keyring")
def test_a_changed_configuration_sends_no_token_of_the_keyring_elsewhere() -> None:
    remember(Server(url=URL, token=T))
    text = config_file().read_text(encoding="utf-8")
    config_file().write_text(text.replace(URL, "https://evil.example"), encoding="utf-8")

    with pytest.raises(AuthError, match="the keyring does not give the token"):
        find_server()


def test_a_locked_keyring_says_what_to_do_and_a_login_does_without_it(keyring: Path) -> None:
    remember(Server(url=URL, token=T))
    keyring.with_name("locked").touch()

    with pytest.raises(AuthError, match=r"locked for the test\).*BUMPS_REMOTE_KEYRING=off"):
        find_server()
    remember(Server(url=URL, token=E))
    assert find_server().token == E
    assert config_file().stat().st_mode & 0o777 == 0o600


def test_nothing_known_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="bumps-remote login"):
        find_server()


@pytest.mark.parametrize(
    "url", ["http://localhost:8080", "http://127.0.0.1", "http://[::1]:1", "https://a.example"]
)
def test_plain_http_is_for_this_computer(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://fits.example.org", "unencrypted"),
        ("http://127.0.0.1.example.org", "unencrypted"),
        ("fits.example.org", "must begin with https://"),
        ("ftp://a", "must begin with https://"),
        ("https://u:p@a.example", "must be plain"),
        ("https://a.example?x=1", "must be plain"),
        ("https://a:b", "cannot be read"),
    ],
)
def test_an_address_that_would_harm_is_refused(url: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_url(url)


def test_plain_http_elsewhere_has_to_be_allowed() -> None:
    assert check_url("http://fits.example.org/", insecure=True) == "http://fits.example.org"


def test_a_damaged_configuration_is_named() -> None:
    remember(Server(url=URL, token=T))
    config_file().write_text("{", encoding="utf-8")

    with pytest.raises(UsageError, match="is damaged"):
        load_config()


def test_a_relative_xdg_folder_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "relative")

    assert state_folder() == Path.home() / ".local/state/bumps-remote"
    assert os.environ["XDG_STATE_HOME"] == "relative"


def test_a_token_is_not_in_a_repr() -> None:
    assert T not in repr(Server(url=URL, token=T))
