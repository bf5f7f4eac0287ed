"""One's account on a cluster by the API, and what happens to jobs without one."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from gateway.cli import main
from tests.api.wrong import pointers
from tests.clusters.making import CLUSTER
from tests.helpers import eventually
from tests.live import Api, LiveGateway
from tests.scheduler.sshd import make_key

PATH = f"/clusters/{CLUSTER}/account"
QUICK: dict[str, Any] = {
    "kind": "dummy",
    "cluster": CLUSTER,
    "options": {"seconds": 0, "steps": 1},
}


@pytest.fixture
def api(live: LiveGateway) -> Api:
    return live.user()


@pytest.fixture(scope="module")
def clumsy(live: LiveGateway) -> Api:
    """A user who never gets it right."""
    return live.user()


@pytest.fixture(scope="module")
def boss(live: LiveGateway) -> Api:
    live.add_user("boss", admin=True)
    return Api(live, "boss")


def put(api: Api, status: int = 200, **document: Any) -> dict[str, Any]:
    answer = api.http.put(PATH, json=document)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def test_an_account_is_registered_read_and_removed(api: Api) -> None:
    assert api.http.get(PATH).status_code == 404
    made = put(api, login="alovelace")
    assert (made["user"], made["login"], made["source"]) == (api.name, "alovelace", "generated")
    (line,) = made["authorized_keys"]
    assert line["line"].startswith(f"restrict {made['public_key']} ")
    assert api.http.get(PATH).json() == made
    (cluster,) = [c for c in api.http.get("/clusters").json()["items"] if c["name"] == CLUSTER]
    assert (cluster["login"], cluster["trust_group"]) == ("alovelace", False)

    assert api.http.delete(PATH).status_code == 204
    assert api.http.delete(PATH).status_code == 404
    assert api.http.get(PATH).status_code == 404


def test_the_same_wish_twice_keeps_the_key_that_was_put_over_there(api: Api) -> None:
    first = put(api, login="al")
    assert put(api, login="al") == first
    assert put(api, login="bl")["public_key"] == first["public_key"]
    assert put(api, login="bl", new_key=True)["public_key"] != first["public_key"]


def test_a_key_that_is_brought_is_shown_to_nobody(
    live: LiveGateway, api: Api, tmp_path: Path
) -> None:
    path = make_key(tmp_path / "own", passphrase="four calm otters")  # noqa: S106
    text, public = path.read_text(), path.with_suffix(".pub").read_text()
    made = put(api, login="al", private_key=text, passphrase="four calm otters")  # noqa: S106
    assert made["source"] == "uploaded"
    assert public.startswith(made["public_key"])
    put(api, 422, login="al", private_key=text, passphrase="four calm cats")  # noqa: S106

    secrets = [*text.splitlines()[1:-1], "four calm otters", "four calm cats"]
    said = json.dumps([made, api.http.get(PATH).json()]) + live.log
    kept = b"".join(path.read_bytes() for path in live.state.rglob("*") if path.is_file())
    store = redis.Redis(unix_socket_path=str(live.state / "store" / "redis.sock"))
    account = store.get(f"cluster-account:{CLUSTER}:{api.name}")
    store.close()
    for secret in secrets:
        assert secret not in said
        assert secret.encode() not in kept
        assert secret not in str(account)


def test_who_did_what_is_written_down(api: Api) -> None:
    made = put(api, login="al")
    api.http.delete(PATH)
    trail = api.http.get("/me/audit").json()["items"]
    assert [(row["action"], row["subject"]) for row in trail[:2]] == [
        ("cluster-account.remove", f"{CLUSTER} {api.name}"),
        ("cluster-account.register", f"{CLUSTER} {api.name} as al {made['fingerprint']}"),
    ]


@pytest.mark.parametrize(
    ("document", "pointer", "words"),
    [
        ({}, "/login", "required"),
        ({"login": "-rf"}, "/login", "beginning with"),
        ({"login": "../root"}, "/login", "beginning with"),
        ({"login": "a/b"}, "/login", "letters"),
        ({"login": "a\nb"}, "/login", "letters"),
        ({"login": "a" * 65}, "/login", "64"),
        ({"login": 3}, "/login", "string"),
        ({"login": "al", "private_key": "secret"}, "/private_key", "ssh-keygen"),
        ({"login": "al", "private_key": "x" * 10_001}, "/private_key", "10000"),
        ({"login": "al", "certificate_file": "/etc/shadow"}, "/certificate_file", "nknown"),
        ({"login": "al", "user": "boss"}, "/user", "nknown"),
    ],
)
def test_a_wrong_account_names_its_field(
    clumsy: Api, document: dict[str, Any], pointer: str, words: str
) -> None:
    found = pointers(clumsy.http.put(PATH, json=document))
    assert list(found) == [pointer]
    assert words in found[pointer]
    assert clumsy.http.get(PATH).status_code == 404


def test_only_clusters_where_each_has_an_account_have_them(clumsy: Api) -> None:
    for name, status in (("local", 409), ("nowhere", 404)):
        for method, body in (("GET", None), ("PUT", {"login": "al"}), ("DELETE", None)):
            answer = clumsy.http.request(method, f"/clusters/{name}/account", json=body)
            assert answer.status_code == status, answer.text


def test_the_account_of_another_is_not_there_but_for_an_administrator(
    live: LiveGateway, api: Api, boss: Api
) -> None:
    put(api, login="al")
    stranger, whose = live.user(), {"user": api.name}
    there = stranger.http.get(PATH, params=whose)
    missing = stranger.http.get(PATH, params={"user": "nobody"})
    assert there.status_code == missing.status_code == 404
    assert there.json()["detail"] == missing.json()["detail"]
    assert stranger.http.put(PATH, params=whose, json={"login": "me"}).status_code == 404
    assert stranger.http.delete(PATH, params=whose).status_code == 404
    assert api.http.get(PATH).json()["login"] == "al"

    assert boss.http.get(PATH, params=whose).json()["login"] == "al"
    assert boss.http.put(PATH, params=whose, json={"login": "bl"}).json()["user"] == api.name
    unknown = boss.http.put(PATH, params={"user": "nobody"}, json={"login": "bl"})
    assert unknown.status_code == 404
    assert boss.http.delete(PATH, params=whose).status_code == 204
    assert api.http.get(PATH).status_code == 404


def test_a_job_without_an_account_is_refused_at_the_cluster(clumsy: Api) -> None:
    for answer in (
        clumsy.http.post("/jobs", json=QUICK, headers={"Idempotency-Key": uuid.uuid4().hex}),
        clumsy.http.post("/jobs/preview", json=QUICK),
    ):
        found = pointers(answer)
        assert list(found) == ["/cluster"]
        assert "/account/clusters" in found["/cluster"]
    assert clumsy.http.get("/jobs").json()["total"] == 0


def held(api: Api, id: str, words: str) -> dict[str, Any]:
    """Wait until a job says why it is held."""
    eventually(lambda: words in api.job(id)["error"], what=lambda: str(api.job(id)["error"]))
    return api.job(id)


def test_a_job_of_an_account_that_went_is_held_and_says_why(api: Api) -> None:
    put(api, login="al")
    job = api.submit(**QUICK)["id"]
    away = held(api, job, "refuses connections")
    assert (away["state"], away["tracking"], away["submission"]) == ("PENDING", "stale", "none")
    assert "refuses connections" in away["reason_text"]

    api.http.delete(PATH)
    gone = held(api, job, "has no account")
    assert gone["reason_text"].startswith("Held up: ")
    assert gone["tracking_since"] == away["tracking_since"]

    put(api, login="bl")
    assert not held(api, job, "it goes on when that is 'al' again")["final"]

    put(api, login="al")
    held(api, job, f"{CLUSTER}: ")
    script = api.http.get(f"/jobs/{job}/script").json()["script"]
    assert f"/scratch/al/gateway/{api.name}/{job}/1" in script


def test_a_held_job_that_never_left_is_cancelled_at_once(api: Api) -> None:
    put(api, login="al")
    job = api.submit(**QUICK)["id"]
    held(api, job, f"{CLUSTER}: ")
    assert api.http.post(f"/jobs/{job}/cancel").status_code == 202
    assert api.wait(job)["state"] == "CANCELLED"
    assert api.http.delete(f"/jobs/{job}").status_code == 204


def command(live: LiveGateway, *words: str, typed: str = "") -> Result:
    """Run a command of the administrator's."""
    return CliRunner().invoke(main, ["cluster", *words], input=typed, env=live.environment)


def test_a_command_registers_lists_and_removes_for_a_user(
    live: LiveGateway, api: Api, tmp_path: Path
) -> None:
    path = make_key(tmp_path / "own", passphrase="four calm otters")  # noqa: S106
    add = ("account", "add", CLUSTER, api.name, "--login", "al")
    said = command(live, *add, "--key-file", str(path), typed="four calm otters\n")
    assert (said.exit_code, "\nrestrict ssh-ed25519 " in said.output) == (0, True), said.output
    made = api.http.get(PATH).json()
    assert made["source"] == "uploaded"
    listed = command(live, "account", "list", CLUSTER).output
    assert f"{api.name} al uploaded {made['fingerprint']}\n" in listed
    assert command(live, *add, "--generate").exit_code == 0
    assert api.http.get(PATH).json()["source"] == "generated"
    assert command(live, "account", "remove", CLUSTER, api.name).exit_code == 0
    assert api.http.get(PATH).status_code == 404


def test_a_wrong_command_says_what_is_wrong(live: LiveGateway, clumsy: Api, tmp_path: Path) -> None:
    user, junk = clumsy.name, tmp_path / "junk"
    junk.write_text("no key")
    add = ("account", "add", CLUSTER, user, "--login", "al")
    for words, said in (
        (("account", "add", CLUSTER, "nobody", "--login", "al"), "there is no user 'nobody'"),
        (("account", "add", "local", user, "--login", "al"), "run as one account"),
        (("account", "add", CLUSTER, user, "--login", "a b"), "/login: 'a b' is not"),
        ((*add, "--key-file", str(junk)), "/private_key: cannot be read"),
        ((*add, "--key-file", str(junk), "--generate"), "either --key-file or --generate"),
        ((*add, "--key-file", "/nowhere"), "does not exist"),
        (("account", "remove", CLUSTER, user), "there is no account on the cluster"),
        (("account", "list", "nowhere"), "no cluster 'nowhere'; known: local, hpc"),
        (("test", "local", "--user", user), "leave out --user"),
        (("test", CLUSTER, "--user", user), f"{user} has no account on The cluster"),
        (("keys", "local"), "is on this host"),
        (("keys", "nowhere"), "no cluster 'nowhere'; known: local, hpc"),
        (("keys", CLUSTER), "refuses connections"),
    ):
        done = command(live, *words, typed="\n")
        assert (done.exit_code != 0, said in done.output) == (True, True), (words, done.output)
    assert clumsy.http.get(PATH).status_code == 404


def test_a_cluster_is_listed_with_the_way_to_it(live: LiveGateway) -> None:
    lines = command(live, "list").output.splitlines()
    assert lines == [
        "local  local  on this host  one account  default",
        "hpc  slurm  over 127.0.0.1:1  each user's own account",
    ]
