"""What administrators do to accounts at the gateway's own host."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import redis as redis_client
from click.testing import CliRunner, Result

from gateway.accounts.audit import BY_COMMAND, Audit
from gateway.accounts.models import User
from gateway.accounts.store import AccountStore
from gateway.cli import main
from gateway.records import now
from gateway.settings import prepare_state

Run = Callable[..., Result]


@pytest.fixture
def run(redis: redis_client.Redis, tmp_path: Path) -> Run:
    prepare_state(tmp_path / "state")
    environment = {
        "GATEWAY_STATE": str(tmp_path / "state"),
        "GATEWAY_REDIS_URL": f"unix://{redis.connection_pool.connection_kwargs['path']}",
    }

    def one(*words: str, code: int = 0) -> Result:
        done = CliRunner().invoke(main, words, env=environment)
        assert done.exit_code == code, done.output
        return done

    return one


def test_what_is_done_to_an_account_stands_in_the_trail(
    run: Run, redis: redis_client.Redis
) -> None:
    assert "with the password" in run("user", "add", "ada", "--admin").output
    for verb in ("off", "on", "password"):
        run("user", verb, "ada")
    for wrong in (("add", "ada"), ("add", "A b"), ("off", "bob"), ("password", "bob")):
        assert run("user", *wrong, code=1).output.startswith("Error: ")
    trail = Audit(AccountStore(redis)).read(BY_COMMAND)
    assert [(record.action, record.subject) for _, record in reversed(trail)] == [
        ("user.add", "ada"),
        ("user.deactivate", "ada"),
        ("user.activate", "ada"),
        ("password.reset", "ada"),
    ]


def test_all_users_are_listed_however_many(run: Run, redis: redis_client.Redis) -> None:
    store, names = AccountStore(redis), [f"u{number:04}" for number in range(1001)]
    for name in names:
        store.add_user(User(name=name, created=now(), admin=name == "u0200"))
    lines = run("user", "list").output.splitlines()
    assert [line.partition(" ")[0] for line in lines] == names
    assert lines[200] == "u0200 admin"


def test_a_file_that_cannot_be_read_is_told_in_a_line(run: Run, tmp_path: Path) -> None:
    broken, cut = tmp_path / "a.gz", tmp_path / "b.gz"
    broken.write_bytes(b"no gzip")
    cut.write_bytes(gzip.compress(b'{"job": "a"}\n' * 9)[:-4])
    assert "gzipped" in run("trail", "a", "--log", str(broken), code=1).output.splitlines()[0]
    assert run("trail", "a", "--log", str(cut)).output.startswith("log\n")
    missing = str(tmp_path / "none" / "b.tar")
    assert missing in run("backup", missing, code=1).output
