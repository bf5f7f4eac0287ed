"""Others read a job as far as its owner lets them, and no longer; strangers never learn of it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client

from gateway.datasets.models import Dataset, FileRef
from gateway.jobs.models import Job, Plan, ProblemRef
from gateway.rebuild import rebuild
from gateway.records import now, to_document
from gateway.services import Gateway
from gateway.sharing import service
from scheduler.base import JobState
from tests.api.wrong import CURVE
from tests.jobs.making import make_job
from tests.web.fixtures import SiteMaker, site
from tests.web.site import PASSWORD, Browser, Site

__all__ = ["site"]
MAIL, LOGIN = "ada@home.example.org", "ad4711"
SCRIPT = f"#!/bin/bash\n#SBATCH --mail-user={MAIL}\n#SBATCH --time=1\ncd /work/{LOGIN}/ada/j\n"
OTHER = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
VERBS = ("cancel", "stop", "rerun", "resume", "instead", "shares")
READS = ("", "/script", "/log", "/history", "/results")
PAGES = ("/jobs/{id}", "/jobs/{id}?part=live", "/jobs/{id}/log.txt", "/api/v1/jobs/{id}/events")


class House:
    """A site with people and a job of ada's."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.services: Gateway = site.services
        self.policy(imaging=["ada", "bob"], others=["eve"])
        self.ada, self.bob = self.browser("ada"), self.browser("bob")
        self.job = self.make()

    def browser(self, name: str) -> Browser:
        browser = self.site.browser()
        assert browser.sign_in(name).status_code == 200
        return browser

    def policy(self, **groups: list[str]) -> None:
        text = "".join(f"[groups.{name}]\nmembers = {who}\n" for name, who in groups.items())
        self.services.policies.put(Path("policy.toml"), text, "root")

    def make(self, **changes: Any) -> Job:
        """Make a job whose owner gets mail, on a cluster where she has an account."""
        resources = {"mail_user": MAIL, "mail_type": "END", "time": "1"}
        plan = Plan(script=SCRIPT, job={"id": "x"}, files=())
        text = json.dumps(to_document(plan)).encode()
        known: dict[str, Any] = {
            "plan": self.services.blobs.put(text).digest,
            "request": {"kind": "fit", "resources": resources, "elements": []},
            "resources": resources,
            "login": LOGIN,
            "error": f"this job belongs to ada's account '{LOGIN}' on HPC, and 'ad5' is registered",
            **changes,
        }
        job = make_job(**known)
        self.services.job_store.add(job)
        return job

    def share(self, job: Job | None = None, by: Browser | None = None, **wanted: Any) -> Any:
        path = f"/api/v1/jobs/{(job or self.job).id}/shares"
        return (by or self.ada).send("POST", path, json=wanted)

    def shares(self, job: Job | None = None) -> list[dict[str, Any]]:
        path = f"/api/v1/jobs/{(job or self.job).id}/shares"
        return list(self.ada.get(path).json["items"])

    def take_back(self, share: dict[str, Any]) -> int:
        path = f"/api/v1/jobs/{self.job.id}/shares/{share['id']}"
        return int(self.ada.send("DELETE", path).status_code)

    def status(self, who: Browser, path: str = "", job: Job | None = None) -> int:
        return int(who.get(f"/api/v1/jobs/{(job or self.job).id}{path}").status_code)

    def shared_with(self, who: Browser) -> list[str]:
        answer = who.get("/api/v1/jobs?shared=true")
        assert answer.status_code == 200
        return [item["id"] for item in answer.json["items"]]

    def notices(self) -> int:
        """Count what bob is told of shares, on the page and by the API."""
        told = self.bob.get("/api/v1/notifications?limit=1").json
        shown = int(self.bob.get("/notifications").text.count("shares this job with you"))
        assert shown == len(told["items"]) >= told["unread"], told
        return shown

    def audit(self) -> list[tuple[str, str]]:
        return [
            (record.user, record.action)
            for _, record in self.services.accounts.audit.read(None)
            if "shar" in record.action or "link" in record.action
        ]


def people(site: Site) -> House:
    for name in ("ada", "bob"):
        site.accounts.add_user(name, PASSWORD)
    return House(site)


@pytest.fixture
def house(site: Site) -> House:
    return House(site)


def test_a_reader_sees_all_of_a_job_but_what_is_its_owners_and_changes_nothing(
    house: House,
) -> None:
    job = house.job
    assert [house.status(house.bob, path) for path in READS] == [404] * len(READS)
    assert house.share(user="bob").status_code == 201
    assert house.share(user="bob").json["id"] == house.shares()[0]["id"], "a second click"
    texts = [house.bob.get(f"/api/v1/jobs/{job.id}{path}") for path in READS]
    assert [one.status_code for one in texts] == [200, 200, 200, 200, 202]
    texts += [house.bob.get(path.format(id=job.id)) for path in PAGES[:3]]
    texts.append(house.bob.get("/api/v1/jobs?shared=true"))
    for text in (one.text for one in texts):
        assert MAIL not in text
        assert LOGIN not in text
        assert "ad5" not in text
    assert "ada shares this job with you" in texts[-4].text
    assert MAIL in house.ada.get(f"/api/v1/jobs/{job.id}/script").text, "its owner sees it"
    for verb in VERBS:
        refused = house.bob.send("POST", f"/api/v1/jobs/{job.id}/{verb}", json={})
        assert refused.status_code == (422 if verb == "shares" else 403), verb
    assert house.share(by=house.bob, user="root").status_code == 403
    assert house.status(house.bob, "/shares") == 403
    refused = house.bob.send("DELETE", f"/api/v1/jobs/{job.id}")
    assert (refused.status_code, "only ada can do this" in refused.text) == (403, True)
    page = house.bob.post_form(f"/jobs/{job.id}/cancel", "/jobs?shared=true")
    assert (page.status_code, "only ada can do this" in page.text) == (403, True)
    assert house.services.job_store.get(job.id).version == job.version

    opened = house.shares()[0]["opened"]
    assert [one["user"] for one in opened] == ["bob"]
    assert house.shared_with(house.bob) == [job.id]
    assert house.shared_with(house.ada) == []
    assert house.take_back(house.shares()[0]) == 204
    assert [house.status(house.bob, path) for path in READS] == [404] * len(READS)
    assert house.shared_with(house.bob) == []
    assert house.take_back({"id": OTHER}) == 404
    assert house.audit() == [("ada", "job.unshare"), ("ada", "job.share")]


def test_a_bundle_tells_a_reader_no_more_than_the_pages(house: House) -> None:
    job, put = house.job, house.services.blobs.put
    result = put(b'{"status": "done"}')
    ref = FileRef(path="result.0.json", digest=result.digest, size=result.size)
    house.services.datasets.add(
        Dataset(
            id=f"{job.id}-1", owner="ada", type="fit-result", created=now(), files=(ref,),
            provenance={"problem": None, "options": {"mail_user": MAIL}},
        )
    )  # fmt: skip
    house.services.job_store.change(job.id, lambda one: ended(one, dataset=f"{job.id}-1"))
    path = f"/api/v1/jobs/{job.id}/bundle.zip"
    assert house.bob.get(path).status_code == 404
    house.share(user="bob")
    bundles = []
    for who in (house.ada, house.bob):
        answer = who.get(path)
        assert answer.status_code == 200, answer.text
        with zipfile.ZipFile(io.BytesIO(answer.data)) as bundle:
            bundles.append({name: bundle.read(name).decode() for name in bundle.namelist()})
    own, read = bundles
    assert own["job.sh"] == SCRIPT
    assert read["job.sh"] == "#!/bin/bash\n#SBATCH --time=1\ncd /work/(an account)/ada/j\n"
    for name, text in read.items():
        assert not any(word in text for word in (MAIL, LOGIN, "ad5")), name
    assert set(read) == set(own)
    assert [name for name in own if own[name] != read[name]] == ["bundle.json", "job.sh"]


def test_a_group_reads_as_it_is_now_and_other_groups_are_not_told_of(house: House) -> None:
    unknown = [house.share(group=name) for name in ("others", "nobodies")]
    assert {one.status_code for one in unknown} == {422}
    words = {
        one.json["errors"][0]["detail"].replace(name, "X")
        for one, name in zip(unknown, ("others", "nobodies"), strict=True)
    }
    assert words == {"'X' is no group of ada; known: imaging"}
    assert house.share(group="imaging").json["members"] == 2
    assert house.shared_with(house.bob) == [house.job.id]
    assert house.shared_with(house.ada) == [], "one's own are no others'"
    house.policy(imaging=["ada"], others=["bob"])
    assert house.status(house.bob) == 404
    assert house.shared_with(house.bob) == []
    assert house.notices() == 0
    house.policy(imaging=["bob"])
    assert house.status(house.bob) == 200, "it is the group's, also when its owner has left"
    assert house.notices() == 1, "who is back in the group reads again what it is"
    house.policy(others=["bob"])
    assert house.shares()[0]["note"] == "There is no such group any more."
    assert house.status(house.bob) == 404
    (house.services.settings.state_directory / "policy.toml").write_text("damaged = [")
    assert house.status(house.bob) == 404


def test_who_is_shared_with_is_told_in_the_page_until_it_is_taken_back(house: House) -> None:
    title = "<b>of ada</b>"
    job = house.make(title=title)
    for _ in range(2):
        house.share(job, user="bob", expires_days=3)
    house.share(job, group="imaging")
    house.share(house.job, link=True)
    told = house.bob.get("/api/v1/notifications").json
    assert (len(told["items"]), told["unread"]) == (2, 2)
    assert {(one["event"], one["by"], one["job"]) for one in told["items"]} == {
        ("job.shared", "ada", job.id)
    }
    group, own = (one["text"] for one in told["items"])
    assert group == "ada shares this job with you through the group imaging."
    assert own.startswith("ada shares this job with you until ")
    page = house.bob.get("/notifications").text
    assert page.count("&lt;b&gt;of ada&lt;/b&gt;</a>") == 2
    assert title not in page
    for nobody in (house.ada, house.browser("root")):
        assert nobody.get("/api/v1/notifications").json["items"] == []
    for share in house.shares(job):
        path = f"/api/v1/jobs/{job.id}/shares/{share['id']}"
        assert house.ada.send("DELETE", path).status_code == 204
    told = house.bob.get("/api/v1/notifications").json
    assert (told["items"], told["unread"]) == ([], 0), "its title is hers again"
    house.share(job, user="bob")
    assert house.bob.get("/api/v1/notifications").json["unread"] == 1


def test_a_reader_removes_a_job_from_the_list_until_it_is_given_anew(house: House) -> None:
    def leave(who: Browser) -> int:
        return int(who.send("POST", f"/api/v1/jobs/{house.job.id}/leave").status_code)

    assert [leave(who) for who in (house.ada, house.bob)] == [404, 404]
    link = house.share(link=True).json["link"].removeprefix(house.services.settings.url)
    house.bob.post_form(link)
    house.share(user="bob")
    assert "Remove from my list" in house.bob.get(f"/jobs/{house.job.id}").text
    left = house.bob.post_form(f"/jobs/{house.job.id}/leave", f"/jobs/{house.job.id}")
    assert left.headers["Location"] == "/jobs?shared=true"
    assert house.status(house.bob) == 404, "neither by name nor by the link"
    assert [one["how"] for one in house.shares()] == ["link"]
    assert house.bob.get("/api/v1/notifications").json["items"] == []
    house.bob.post_form(link)
    assert house.shared_with(house.bob) == [house.job.id]

    house.share(group="imaging")
    assert [leave(who) for who in (house.ada, house.bob)] == [404, 204]
    assert house.shared_with(house.bob) == []
    assert house.bob.get("/api/v1/jobs?shared=true").json["total"] == 0
    assert house.status(house.bob) == 200, "what a group may read, its members may"
    house.share(user="bob")
    assert house.shared_with(house.bob) == [house.job.id]
    actions = [action for user, action in house.audit() if user == "bob"]
    assert "job.open_link" in actions
    records = [one.action for _, one in house.services.accounts.audit.read(None)]
    assert records.count("job.leave") == 4


def test_what_a_member_left_stays_away_until_it_is_shared_with_the_group_anew(
    house: House,
) -> None:
    def seen() -> tuple[list[str], int]:
        return house.shared_with(house.bob), house.bob.get("/api/v1/jobs?shared=true").json["total"]

    def leave() -> None:
        assert house.bob.send("POST", f"/api/v1/jobs/{house.job.id}/leave").status_code == 204

    share = house.share(group="imaging").json
    leave()
    assert house.take_back(share) == 204
    share = house.share(group="imaging").json
    assert seen() == ([house.job.id], 1)
    assert not house.services.redis.exists("shared:job:left:bob"), "what is no more is forgotten"
    leave()
    assert house.share(group="imaging").json["id"] == share["id"], "a second click is not anew"
    place = house.services.settings.state_directory / "policy.toml"
    kept = place.read_text()
    place.write_text("damaged = [")
    assert seen() == ([], 0)
    place.write_text(kept)
    assert seen() == ([], 0), "that nobody knew of groups for a while gives nothing back"
    house.policy(imaging=["ada", "bob"], beam=["ada", "bob"])
    assert seen() == ([], 0)
    house.share(group="beam")
    assert seen() == ([house.job.id], 1), "another group is another share"


def test_names_of_users_cannot_be_tried_out(house: House) -> None:
    house.services.accounts.deactivate("bob")
    words = set()
    for name in ["bob", "zoe", "../zoe", *(f"u{number}" for number in range(7))]:
        refused = house.share(user=name)
        assert refused.status_code == 422
        assert refused.json["errors"][0]["pointer"] == "/user"
        words.add(refused.json["errors"][0]["detail"].replace(name, "X"))
    assert len(words) == 1
    assert house.share(user="ada").status_code == 422
    assert house.audit()[0] == ("ada", "share.refused")
    wrong, right = house.share(user="zoe"), house.share(user="root")
    assert (wrong.status_code, right.status_code) == (429, 429), "ten wrong ones are enough"
    assert house.shares() == []


def test_a_share_gives_a_user_nothing_who_may_not_sign_in_and_says_so(house: House) -> None:
    house.share(user="bob")
    house.services.accounts.deactivate("bob")
    assert house.status(house.bob) == 401
    assert "cannot sign in" in house.shares()[0]["note"]


def test_a_link_opens_one_job_for_who_is_signed_in_until_it_is_taken_back(house: House) -> None:
    other = house.make()
    link, second = (house.share(link=True).json for _ in range(2))
    path = link["link"].removeprefix(house.services.settings.url)
    elsewhere = house.share(other, link=True).json["link"]
    assert house.status(house.bob) == 404, "it must be opened first"
    share_id, _, mark = path.rpartition("/")[2].partition("-")
    forged = [
        f"/shared/{share_id}-{mark[:-1]}{'0' if mark[-1] != '0' else '1'}",
        f"/shared/{share_id}-{elsewhere.rpartition('-')[2]}",
        f"/shared/{OTHER}-{mark}",
        f"/shared/{share_id}",
        "/shared/..-" + "0" * 64,
    ]
    assert {house.bob.get(one).status_code for one in forged} == {404}
    stranger = house.site.browser().get(path)
    assert stranger.status_code == 303
    assert stranger.headers["Location"].startswith("/sign-in")

    asked = house.bob.get(path)
    assert "ada sees that you have" in asked.text
    assert house.status(house.bob) == 404, "a look changes nothing: another site may have sent him"
    assert house.bob.post_form(path).headers["Location"] == f"/jobs/{house.job.id}"
    assert house.bob.get(path).headers["Location"] == f"/jobs/{house.job.id}"
    assert house.status(house.bob) == 200
    assert house.status(house.bob, job=other) == 404
    assert house.shared_with(house.bob) == [house.job.id]
    assert mark not in house.site.log.getvalue(), "the log opens nothing"
    assert all(mark not in str(house.services.redis.hgetall(key)) for key in keys(house, "share*"))
    assert (
        house.bob.send("POST", "/api/v1/shared", json={"link": second["link"]}).status_code == 200
    )
    assert house.take_back(link) == 204
    assert house.bob.get(path).status_code == 404
    assert house.status(house.bob) == 200, "by the other one"
    assert house.shared_with(house.bob) == [house.job.id]
    assert house.take_back(second) == 204
    assert house.status(house.bob) == 404
    assert house.shared_with(house.bob) == []
    assert ("bob", "job.open_link") in house.audit()


def keys(house: House, pattern: str) -> list[str]:
    found = map(str, house.services.redis.keys(pattern))
    return [key for key in found if house.services.redis.type(key) == "hash"]


def test_what_has_ended_by_itself_opens_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = house.share(link=True, expires_days=1).json["link"]
    house.share(user="bob", expires_days=1)
    assert house.share(user="bob", expires_days=2).status_code == 409
    assert house.shared_with(house.bob) == [house.job.id]
    later = now() + timedelta(days=1, seconds=1)
    assert house.notices() == 1
    monkeypatch.setattr(service, "now", lambda: later)
    assert house.notices() == 0, "its title is hers again"
    assert house.status(house.bob) == 404
    assert house.shared_with(house.bob) == []
    assert {one["note"] for one in house.shares()} == {"It has ended."}
    assert house.bob.get(link.removeprefix(house.services.settings.url)).status_code == 404
    assert house.share(user="bob").status_code == 201, "again, without an end"
    (told,) = house.bob.get("/api/v1/notifications").json["items"]
    assert (told["text"], told["read"]) == ("ada shares this job with you.", False)
    assert house.status(house.bob) == 200
    for days in (0, 10_000, "x"):
        assert house.share(user="bob", expires_days=days).status_code == 422


def test_anybody_with_a_link_reads_that_job_alone_and_only_where_the_site_allows(
    make: SiteMaker,
) -> None:
    house = people(make(GATEWAY_SHARING__LINKS="anyone"))
    other, share = house.make(), house.share(link=True).json
    path = share["link"].removeprefix(house.services.settings.url)
    nobody = house.site.browser()
    assert house.status(nobody) == 401
    assert nobody.get(path).headers["Location"] == f"/jobs/{house.job.id}"
    assert [house.status(nobody, path) for path in READS] == [200, 200, 200, 200, 202]
    page = nobody.get(f"/jobs/{house.job.id}")
    assert (page.status_code, "Sign in for more" in page.text) == (200, True)
    assert f"/sign-in?next={path}" in page.text, "or they would be nobody's readers afterwards"
    assert MAIL not in page.text
    assert house.status(nobody, job=other) == 404
    for closed in ("/api/v1/jobs", "/api/v1/me", f"/api/v1/jobs/{house.job.id}/shares"):
        assert nobody.get(closed).status_code == 401, closed
    assert nobody.send("POST", f"/api/v1/jobs/{house.job.id}/cancel").status_code in (401, 403)
    assert [one["user"] for one in house.shares()[0]["opened"]] == [None]
    assert house.take_back(share) == 204
    assert house.status(nobody) == 401

    strict = make(GATEWAY_SHARING__LINKS="off")
    browser = strict.browser()
    browser.sign_in("ada")
    refused = browser.send("POST", f"/api/v1/jobs/{other.id}/shares", json={"link": True})
    assert refused.status_code == 403
    assert "Make a link" not in browser.get(f"/jobs/{other.id}").text


def test_a_reader_makes_a_job_like_it_with_a_copy_of_what_it_ran_with(make: SiteMaker) -> None:
    house = people(make(GATEWAY_CLUSTERS__LOCAL__TRUSTED_USERS="true"))
    problem = house.ada.send("POST", "/api/v1/problems", json=CURVE).json
    ref = ProblemRef(id=problem["id"], version=1, name="p", type="curve", digest=problem["digest"])
    request = {"kind": "fit", "options": {"fit": "amoeba"}, "draft": "d", "proposal": "hp"}
    job = house.make(problem=ref, request=request)
    assert house.bob.send("POST", f"/api/v1/jobs/{job.id}/copy").status_code == 404
    house.share(job, user="bob")
    assert house.bob.get(f"/api/v1/problems/{problem['id']}").status_code == 404
    copy = house.bob.send("POST", f"/api/v1/jobs/{job.id}/copy").json
    assert not {"draft", "proposal"} & set(copy["request"])
    own = house.bob.get(f"/api/v1/problems/{copy['problem']}").json
    assert (own["owner"], own["digest"]) == ("bob", problem["digest"])
    assert house.bob.send("POST", "/api/v1/jobs", json=copy["request"]).status_code == 202
    answer = house.bob.post_form(f"/jobs/{job.id}/copy", f"/jobs/{job.id}")
    assert house.bob.get(answer.headers["Location"]).status_code == 200
    house.ada.send("DELETE", f"/api/v1/problems/{problem['id']}")
    assert house.bob.send("POST", f"/api/v1/jobs/{job.id}/copy").status_code == 409


def test_shares_come_back_with_a_lost_store_and_go_with_their_job(house: House) -> None:
    gone, kept = house.make(), house.job
    for job in (gone, kept):
        for wanted in ({"user": "bob"}, {"group": "imaging"}, {"link": True}):
            assert house.share(job, **wanted).status_code == 201
    before = house.shares()
    files = house.services.settings.state_directory / "sidecars" / "shares"
    house.services.job_store.change(gone.id, ended)
    assert house.ada.send("DELETE", f"/api/v1/jobs/{gone.id}").status_code == 204
    told = house.bob.get("/api/v1/notifications?limit=1").json
    seen = [one["job"] for one in told["items"]]
    while told["next_cursor"]:
        told = house.bob.get(f"/api/v1/notifications?limit=1&cursor={told['next_cursor']}").json
        seen += [one["job"] for one in told["items"]]
    assert seen == [kept.id] * 2, "by name and through the group"
    assert house.shared_with(house.bob) == [kept.id]
    assert not [key for key in house.services.redis.keys("share*") if gone.id in str(key)]
    assert len(list(files.rglob("*.json"))) == len(before) == 3

    house.services.redis.flushall()
    assert "shares: 3 restored" in "\n".join(rebuild(house.services.settings))
    for name in ("ada", "bob"):
        house.services.accounts.add_user(name, PASSWORD)
    house.ada, house.bob = house.browser("ada"), house.browser("bob")
    assert house.shares() == before
    assert house.shared_with(house.bob) == [kept.id]


def ended(job: Job, **changes: Any) -> Job:
    return job.with_attempt(state=JobState.FAILED, collected=True, **changes)


def test_what_is_shared_is_listed_in_pages_at_a_cost_that_many_users_do_not_raise(
    house: House, redis: redis_client.Redis
) -> None:
    jobs = [house.make(title=f"run {number}") for number in range(3)]
    for job in jobs:
        house.share(job, group="imaging")

    def commands(do: Callable[[], object]) -> int:
        before = redis.info("commandstats")
        do()
        after = redis.info("commandstats")
        calls = {name: after[name]["calls"] for name in after if "config" not in name}
        return int(sum(calls.values())) - sum(
            int(before[name]["calls"]) for name in before if "config" not in name
        )

    def listed() -> list[str]:
        return house.shared_with(house.bob)

    assert listed() == [job.id for job in reversed(jobs)]
    few = commands(listed)
    many = [f"u{number}" for number in range(300)]
    house.policy(imaging=["ada", "bob", *many], others=many)
    assert commands(listed) == few
    first = house.bob.get("/api/v1/jobs?shared=true&limit=2&q=run").json
    rest = house.bob.get(f"/api/v1/jobs?shared=true&limit=2&cursor={first['next_cursor']}").json
    assert [one["id"] for one in first["items"] + rest["items"]] == listed()
    assert house.bob.get("/api/v1/jobs?shared=true&state=FAILED").json["items"] == []
    page = house.bob.get("/jobs?shared=true").text
    assert page.count("data-job=") == 3
    assert "of ada" in page
    assert 'value="delete"' not in page
