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
        ("[accounts]\ntoken_days = -1\n", "accounts. token_days = -1: give days"),
        ("[worker]\nsubmit_at_once = 0\n", "worker. submit_at_once = 0: a call takes a job"),
    ],
)
def test_a_mistake_in_the_sites_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    site = tmp_path / "site.toml"
    site.write_text(text)

    with pytest.raises(SettingsError, match=words):
        load_settings(env(tmp_path, GATEWAY_CONFIG=str(site)))


EXAMPLE = Path(__file__).parent.parent / "config" / "example.toml"
SLURM = "[clusters.hpc]\nscheduler = 'slurm'\nbase = '/b'\npython = '/p'\n"
SSH = "[clusters.hpc.ssh]\nhost = 'login'\n"


def test_the_example_of_a_site_is_one(tmp_path: Path) -> None:
    settings = load_settings(env(tmp_path, GATEWAY_CONFIG=str(EXAMPLE)))

    cluster = settings.clusters["hpc"]
    assert settings.default_cluster == "hpc"
    assert cluster.ssh is not None
    assert cluster.ssh.user == "gateway"
    assert [hop.host for hop in cluster.ssh.jumps] == ["gate.hpc.example.org"]


def test_with_clusters_of_its_own_a_site_runs_nothing_on_this_host_unasked(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(SLURM)
    assert set(load_settings(env(tmp_path, GATEWAY_CONFIG=str(site))).clusters) == {"hpc"}

    site.write_text(SLURM + "[clusters.local]\n")
    settings = load_settings(env(tmp_path, GATEWAY_CONFIG=str(site)))
    assert set(settings.clusters) == {"local", "hpc"}
    assert settings.clusters["local"].look_s == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[clusters.hpc]\nbase = '/b'\n", "clusters.hpc.scheduler is missing"),
        (
            SLURM.replace("'slurm'", "'slrum'"),
            "scheduler = 'slrum': choose local",
        ),
        (SLURM.replace("'/b'", "'jobs'"), "base = 'jobs': give the absolute path"),
        (SLURM.replace("python = '/p'", ""), "python = '': give the absolute path"),
        (SLURM + "accounts = 'own'\n", "accounts = 'own': choose service, per-user"),
        (SLURM + "accounts = 'per-user'\n", "'per-user' needs"),
        (SLURM + SSH, "ssh.user is missing"),
        (SLURM + SSH + "user = 7\n", "clusters.hpc.ssh.user = 7 is not of type str"),
        (SLURM + SSH + "prot = 22\n", "unknown key clusters.hpc.ssh.prot"),
        (SLURM + "ssh = 'login'\n", r"\[clusters.hpc.ssh\] must be a table"),
        (
            SLURM + SSH + "user = 'u'\n[[clusters.hpc.ssh.jumps]]\nhost = 'gate'\n",
            r"clusters.hpc.ssh.jumps\[0\].host_keys is missing",
        ),
        (
            SLURM.replace("'slurm'", "'pyslurm'") + SSH + "user = 'u'\n",
            "pyslurm needs Slurm's library on this host",
        ),
    ],
)
def test_a_mistake_in_a_cluster_is_named_with_its_place(
    tmp_path: Path, text: str, words: str
) -> None:
    site = tmp_path / "site.toml"
    site.write_text(text)

    with pytest.raises(SettingsError, match=words):
        load_settings(env(tmp_path, GATEWAY_CONFIG=str(site)))


def test_files_that_somebody_works_with_are_not_swept_away(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"unused_files_s = 60 is too short.*3600"):
        load_settings({"GATEWAY_STATE": str(tmp_path), "GATEWAY_LIMITS__UNUSED_FILES_S": "60"})


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


@pytest.mark.parametrize("text", ["_files/", "/a/b/", "/../", "/x y/", "http://evil/"])
def test_a_location_of_files_that_nginx_could_read_otherwise_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="accel_redirect"):
        load_settings({"GATEWAY_SERVER__ACCEL_REDIRECT": text, "HOME": "/"}, with_secret=False)
