"""What a site decides, and what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.settings import SettingsError, load_settings, prepare_state

SECRET = "0123456789abcdef0123456789abcdef"  # noqa: S105 - of no gateway


def env(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"GATEWAY_STATE": str(tmp_path / "state"), "GATEWAY_SECRET_KEY": SECRET, **more}


def test_the_environment_wins_over_the_sites_file_and_that_over_the_defaults(
    tmp_path: Path,
) -> None:
    site = tmp_path / "site.toml"
    site.write_text("[server]\nport = 9000\nworkers = 5\n[clusters.local]\ncpus = 3\n")

    settings = load_settings(env(tmp_path, GATEWAY_CONFIG=str(site), GATEWAY_SERVER__PORT="9001"))

    assert settings.server.port == 9001
    assert settings.server.workers == 5
    assert settings.server.threads == 16
    assert settings.clusters["local"].cpus == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[server]\nprot = 1\n", "server.prot"),
        ("[server]\nport = 'x'\n", "server.port"),
        ("[sever]\nport = 1\n", "sever"),
        ("[server\n", "site.toml"),
        ("server = 1\n", "server"),
    ],
)
def test_a_mistake_in_the_sites_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    site = tmp_path / "site.toml"
    site.write_text(text)

    with pytest.raises(SettingsError, match=words):
        load_settings(env(tmp_path, GATEWAY_CONFIG=str(site)))


def test_the_state_directory_of_the_environment_wins_over_the_sites_file(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(f"[state]\ndirectory = '{tmp_path}/from-file'\n")

    assert (
        load_settings(env(tmp_path, GATEWAY_CONFIG=str(site))).state_directory == tmp_path / "state"
    )


@pytest.mark.parametrize("key", ["changeme", "a" * 40, "short", ""])
def test_a_weak_secret_stops_the_start(tmp_path: Path, key: str) -> None:
    with pytest.raises(SettingsError, match="GATEWAY_SECRET_KEY is too weak"):
        load_settings(env(tmp_path) | {"GATEWAY_SECRET_KEY": key})


def test_a_missing_secret_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="bumps-gateway init"):
        load_settings({"GATEWAY_STATE": str(tmp_path)})


def test_init_makes_a_private_directory_and_secret_and_keeps_them(tmp_path: Path) -> None:
    state = tmp_path / "state"
    prepare_state(state)
    key = (state / "secret.key").read_text()

    prepare_state(state)

    assert (state / "secret.key").read_text() == key
    assert state.stat().st_mode & 0o777 == 0o700
    assert (state / "secret.key").stat().st_mode & 0o777 == 0o600
    assert load_settings({"GATEWAY_STATE": str(state)}).secret_key == key.strip().encode()


def test_a_state_directory_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(0o755)

    with pytest.raises(SettingsError, match="chmod 0700"):
        prepare_state(state)


def test_the_secret_is_in_no_representation(tmp_path: Path) -> None:
    assert SECRET not in repr(load_settings(env(tmp_path)))
