"""What a site decides is read, checked, and refused with one line that says what to do."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.settings import SECRET_FILE, SettingsError, load_settings, prepare_state

SECRET = secrets.token_hex(32)


def site(folder: Path, text: str = "", **more: str) -> dict[str, str]:
    """Make the environment of a site with its own file."""
    path = folder / "site.toml"
    path.write_text(text)
    return {
        "GATEWAY_CONFIG": str(path),
        "GATEWAY_STATE": str(folder / "state"),
        "GATEWAY_SECRET_KEY": SECRET,
        **more,
    }


def command(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {key: text for key, text in os.environ.items() if not key.startswith("GATEWAY_")}
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", *arguments],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_sites_file_wins_over_the_defaults_and_the_environment_over_both(tmp_path: Path) -> None:
    text = '[server]\nport = 81\nhost = "::1"\n'
    settings = load_settings(site(tmp_path, text, GATEWAY_SERVER__PORT="82"))
    assert (settings.server.host, settings.server.port) == ("::1", 82)
    assert settings.worker.max_tries == load_settings(site(tmp_path)).worker.max_tries


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[server]\nprot = 80\n", "server.prot"),
        ('[server]\nport = "80"\n', "server.port"),
        ("[limits]\njson_bytes = true\n", "limits.json_bytes"),
        ("[worker]\ntick_s = 'soon'\n", "worker.tick_s"),
        ("[servers]\nport = 80\n", "servers"),
        ("[clusters.alpha]\nscheduler = 'slurm'\nwalltime = 3\n", "clusters.alpha.walltime"),
        ("[server\n", "site.toml"),
    ],
)
def test_what_nobody_knows_or_has_the_wrong_type_is_named(
    tmp_path: Path, text: str, named: str
) -> None:
    with pytest.raises(SettingsError, match=named) as caught:
        load_settings(site(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    environment = site(tmp_path, GATEWAY_CONFIG=str(tmp_path / "other.toml"))
    with pytest.raises(SettingsError, match=r"other\.toml"):
        load_settings(environment)


def test_a_missing_secret_stops_the_start_with_one_line(tmp_path: Path) -> None:
    environment = site(tmp_path)
    del environment["GATEWAY_SECRET_KEY"]
    for process in ("web", "worker"):
        done = command(environment, process)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1
        assert "bumps-gateway init" in done.stderr
        assert "GATEWAY_SECRET_KEY" in done.stderr


@pytest.mark.parametrize("secret", ["", "changeme", "a" * 64, "0123456789abcdef", "abc" * 20])
def test_a_weak_secret_is_refused(tmp_path: Path, secret: str) -> None:
    with pytest.raises(SettingsError, match="too weak") as caught:
        load_settings(site(tmp_path, GATEWAY_SECRET_KEY=secret))
    assert not secret or secret not in str(caught.value)


def test_init_makes_a_closed_directory_and_a_secret_that_stays(tmp_path: Path) -> None:
    environment = site(tmp_path)
    del environment["GATEWAY_SECRET_KEY"]
    state = tmp_path / "state"
    assert command(environment, "init").returncode == 0
    assert state.stat().st_mode & 0o777 == 0o700
    assert (state / SECRET_FILE).stat().st_mode & 0o777 == 0o600
    first = load_settings(environment).secret_key
    assert command(environment, "init").returncode == 0
    assert load_settings(environment).secret_key == first
    assert len(first) >= 32


def test_a_state_directory_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state").chmod(0o750)
    with pytest.raises(SettingsError, match="chmod 0700"):
        prepare_state(tmp_path / "state")


def test_a_secret_is_not_in_a_repr(tmp_path: Path) -> None:
    settings = load_settings(site(tmp_path))
    assert SECRET not in repr(settings)
    assert settings.secret_key == SECRET.encode()


def test_plain_http_for_others_is_refused_before_anything_starts(tmp_path: Path) -> None:
    environment = site(tmp_path, GATEWAY_SERVER__HOST="0.0.0.0")  # noqa: S104 - it is refused
    done = command(environment, "run")
    assert done.returncode == 1
    assert "https://" in done.stderr
    assert [path.name for path in (tmp_path / "state").iterdir()] == [SECRET_FILE]
