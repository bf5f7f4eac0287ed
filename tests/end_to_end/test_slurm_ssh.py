"""The whole way to a real site: Slurm behind sshd, as one account and as each user's own."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli import main
from tests.end_to_end.ssh_site import SSHSite, ssh_site
from tests.end_to_end.test_slurm import LINE
from tests.helpers import eventually, processes
from tests.live import Api, LiveGateway, live_gateway
from tests.scheduler.site import wrapped_commands
from tests.scheduler.sshd import Account, processes_of
from tests.slurm.cluster import Cluster, private_cluster

pytestmark = pytest.mark.slow
ACCOUNT = "/clusters/hpc/account"
QUICK: dict[str, Any] = {"kind": "dummy", "options": {"seconds": 0, "steps": 1}}
BLIND = """for word; do case $word in --chdir=*) folder=${word#--chdir=};; esac; done
case "$*" in *--version* | *--test-only*) exec /usr/bin/sbatch "$@" ;; esac
id=$(/usr/bin/sbatch --hold "$@") && mv "$folder" "$folder.away" && scontrol release "$id"
while squeue -h -j "$id" -t pending,running,completing | grep -q .; do sleep 0.1; done
mv "$folder.away" "$folder" && echo "$id"
"""
"""An sbatch of a site whose compute nodes do not see the base directory."""

LONG: dict[str, Any] = {"kind": "dummy", "options": {"seconds": 600, "steps": 600}}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with private_cluster() as running:
        yield running


@pytest.fixture(scope="module")
def site(cluster: Cluster) -> Iterator[SSHSite]:
    with ssh_site(cluster, accounts=2) as made:
        yield made


@pytest.fixture(scope="module")
def service(site: SSHSite) -> Iterator[LiveGateway]:
    """A gateway whose jobs all run as the first account, whose shell is a noisy one."""
    noise = "echo Welcome to Stampede3; echo you have mail >&2; cat /etc/passwd\n"
    site.accounts[0].bashrc(noise)
    with live_gateway(**site.configure()) as live:
        yield live


@pytest.fixture(scope="module")
def users(site: SSHSite) -> Iterator[LiveGateway]:
    """A gateway whose users have accounts of their own."""
    with live_gateway(**site.configure(per_user=True)) as live:
        yield live


def held(api: Api, id: str, words: str) -> dict[str, Any]:
    """Wait until a job says why it is held."""
    eventually(lambda: words in api.job(id)["error"], what=lambda: str(api.job(id)))
    return api.job(id)


def printed(api: Api, id: str) -> str:
    """Read what a job complained of."""
    return str(api.http.get(f"/jobs/{id}/log", params={"stream": "stderr"}).json()["text"])


def test_a_fit_runs_as_the_service_account_behind_a_noisy_shell(
    site: SSHSite, service: LiveGateway
) -> None:
    api = service.user()
    problem = api.problem(LINE)["id"]
    job = api.wait(api.submit(problem={"id": problem}, options={"fit": "lm"})["id"])
    assert (job["state"], job["error"]) == ("COMPLETED", ""), printed(api, job["id"])
    rows = api.results(job["id"])["results"][0]["parameters"]
    assert {row["label"]: row["value"] for row in rows} == pytest.approx({"a": 2, "b": 1}, abs=0.02)
    assert site.named(job["id"]) == [job["native_id"]]
    owners = {path.owner() for path in (site.folder / "jobs").rglob("*")}
    assert owners == {site.accounts[0].name}


def test_each_step_of_a_good_site_is_found_good(site: SSHSite, service: LiveGateway) -> None:
    shown = service.command("cluster", "keys", "hpc")
    assert f"{site.server.host_key}  pinned" in shown
    lines = service.command("doctor").splitlines()
    assert len(lines) == 28
    assert all(line.startswith("ok ") for line in lines)


def test_a_small_job_tells_what_compute_nodes_have_and_whether_they_see_the_base(
    site: SSHSite, service: LiveGateway
) -> None:
    last = service.command("cluster", "test", "hpc", "--run").splitlines()[-1]
    assert re.search(r"job: ran on \S+ as job \d+: python 3\.\d+\.\d+, bumps \d", last), last
    programs = wrapped_commands(site.folder / "blind", "sbatch", BLIND)
    path = site.folder / "blind.toml"
    given = f'programs = "{programs}"'
    configured = Path(service.environment["GATEWAY_CONFIG"]).read_text()
    path.write_text(re.sub("^programs = .*$", given, configured, flags=re.MULTILINE))
    seen = {**service.environment, "GATEWAY_CONFIG": str(path)}
    done = CliRunner().invoke(main, ["cluster", "test", "hpc", "--run"], env=seen)
    words = f"do compute nodes see {site.folder}/jobs, and may the account write there?"
    assert (done.exit_code, words in done.output) == (1, True), done.output
    assert list((site.folder / "jobs").glob("doctor-*")) == []


def as_other(account: Account, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run something as an account, as a job of it could."""
    ids = (f"--reuid={account.uid}", f"--regid={account.uid}", "--clear-groups")
    return subprocess.run(
        ["/usr/bin/setpriv", *ids, *argv], capture_output=True, text=True, check=False
    )


def test_each_users_jobs_run_as_their_own_account_and_are_closed_to_others(
    site: SSHSite, users: LiveGateway
) -> None:
    one, two = site.accounts
    ada, bob = users.user(), users.user()
    made = ada.http.put(ACCOUNT, json={"login": one.name}).json()
    waits = ada.submit(**QUICK)["id"]
    held(ada, waits, f"does not let {one.name} in")
    brought = {"login": two.name, "private_key": two.key_file.read_text()}
    assert bob.http.put(ACCOUNT, json=brought).status_code == 200
    done = bob.wait(bob.submit(**QUICK)["id"])
    assert (done["state"], done["tracking"]) == ("COMPLETED", "fresh"), printed(bob, done["id"])

    folder = site.folder / "shared" / bob.name
    paths = [folder, *folder.rglob("*")]
    assert {path.owner() for path in paths} == {two.name}
    assert {path.stat().st_mode & 0o077 for path in paths} == {0}
    script = str(folder / done["id"] / "1" / "job.sh")
    assert as_other(two, "/bin/cat", script).returncode == 0
    assert "Permission denied" in as_other(one, "/bin/cat", script).stderr
    assert "Permission denied" in as_other(one, "/bin/ls", str(folder)).stderr

    # Somebody has made the folder of a user who is yet to come: nothing is put in there.
    squatted = users.user()
    trap = site.folder / "shared" / squatted.name
    assert as_other(one, "/bin/mkdir", "-m", "777", str(trap)).returncode == 0
    assert squatted.http.put(ACCOUNT, json=brought).status_code == 200
    trapped = squatted.submit(**QUICK)["id"]
    held(squatted, trapped, "others could put jobs into the base directory")
    assert list(trap.iterdir()) == []

    # The key is put over there only now. It is not tried again for minutes, unless the account was
    # changed; under another login nothing is done for the job that waits.
    assert site.named(waits) == []
    site.server.authorize(one, made["authorized_keys"][0]["line"])
    ada.http.put(ACCOUNT, json={"login": "root"})
    held(ada, waits, f"it goes on when that is {one.name!r} again")
    ada.http.put(ACCOUNT, json={"login": one.name})
    assert ada.wait(waits)["state"] == "COMPLETED"
    site.server.authorize(one, one.key_file.with_suffix(".pub").read_text())


def test_a_job_whose_account_goes_away_is_held_and_goes_on_when_it_is_back(
    site: SSHSite, users: LiveGateway
) -> None:
    two = site.accounts[1]
    bob = users.user()
    wanted = {"login": two.name, "private_key": two.key_file.read_text()}
    bob.http.put(ACCOUNT, json=wanted)
    job = bob.submit(**LONG)["id"]
    bob.wait_for_state(job, "RUNNING")

    line = f"sshd: {two.name}"
    before = len(processes(line))
    assert bob.http.delete(ACCOUNT).status_code == 204
    away = held(bob, job, "has no account on Test cluster")
    assert (away["state"], away["tracking"]) == ("RUNNING", "stale")
    eventually(lambda: len(processes(line)) < before, what="its connection to be closed")
    assert processes_of(two.uid)  # the job itself runs on

    bob.http.put(ACCOUNT, json=wanted)
    assert bob.http.post(f"/jobs/{job}/stop").status_code == 202
    ended = bob.wait(job)
    assert (ended["state"], ended["tracking"], ended["error"]) == ("COMPLETED", "fresh", "")


def test_another_host_key_stops_the_cluster_until_the_pin_is_corrected(
    site: SSHSite, service: LiveGateway
) -> None:
    api = service.user()
    running = api.submit(**LONG)["id"]
    api.wait_for_state(running, "RUNNING")
    site.server.stop()
    site.server.new_host_key()
    site.server.start()
    stopped = held(api, running, "shows another host key than the pinned")
    assert (stopped["state"], stopped["tracking"]) == ("RUNNING", "stale")
    assert stopped["tracking_since"]
    waits = api.submit(**QUICK)["id"]
    assert held(api, waits, "another host key")["submission"] == "none"
    assert "Failed" not in site.server.log  # nobody even tried to sign in
    assert "not pinned" in said_by(service, "cluster", "keys", "hpc")
    lines = said_by(service, "cluster", "test", "hpc")
    assert "WRONG cluster hpc: host key: " in lines

    service.stop()
    site.configure()
    service.start()
    api = Api(service, api.name)
    assert api.wait(waits)["state"] == "COMPLETED"
    assert api.http.post(f"/jobs/{running}/stop").status_code == 202
    assert api.wait(running)["state"] == "COMPLETED"
    assert [len(site.named(job)) for job in (running, waits)] == [1, 1]


def said_by(live: LiveGateway, *words: str) -> str:
    """Run a command that must fail, and answer all that it says."""
    done = CliRunner().invoke(main, words, env=live.environment)
    assert done.exit_code == 1, done.output
    return done.output


def test_a_line_that_is_cut_in_the_middle_of_submissions_makes_one_job_of_each(
    site: SSHSite, service: LiveGateway
) -> None:
    holds, api = site.holds, service.user()
    # While one is held, those that come meanwhile are handed over together after it.
    first = submit_held(api, holds, "before")
    eventually(lambda: at(holds, first), what="the first sbatch")
    ahead = submit_held(api, holds, "before")
    after = submit_held(api, holds, "after")
    jobs = [first, ahead, after, str(api.submit(**QUICK)["id"])]
    release(holds, "before", first)
    eventually(lambda: at(holds, ahead) and at(holds, after), what="both at sbatch")
    site.server.cut()
    eventually(lambda: api.job(ahead)["submission"] == "uncertain", what="the cut to be seen")
    release(holds, "before", ahead)
    release(holds, "after", after)

    ends = [api.wait(job) for job in jobs]
    assert [end["state"] for end in ends] == ["COMPLETED"] * 4
    assert [site.named(job) for job in jobs] == [[end["native_id"]] for end in ends]
    assert [end["try"] for end in ends] == [1] * 4


def submit_held(api: Api, holds: Path, place: str) -> str:
    """Submit a job whose submission waits before or after sbatch; answer its id."""
    preview = api.http.post("/jobs/preview", json=QUICK).json()
    marker = re.search(r"--job-name=(gw-(\w+)-1)$", preview["script"], re.MULTILINE)
    assert marker
    (holds / f"{place}.{marker[1]}").touch()
    return str(api.submit(**QUICK, draft=preview["draft"])["id"])


def release(holds: Path, place: str, job: str) -> None:
    (holds / f"{place}.gw-{job}-1").unlink()


def at(holds: Path, job: str) -> bool:
    return (holds / f"at.gw-{job}-1").exists()
