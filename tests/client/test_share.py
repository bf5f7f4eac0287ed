"""Who may read a job, said in the terminal: what a site answers, whatever it holds."""

from __future__ import annotations

from typing import Any

from tests.client.site import JOB_ID, Misbehaving, Reply, Shell, job_document, serve_submissions

SHARES = f"/jobs/{JOB_ID}/shares"
EVIL = "a\x1b]0;x\x07[red]b\u202e"
NOW = "2026-01-01T00:00:00Z"


def share(id: str, how: str, to: str | None, **changes: Any) -> dict[str, Any]:
    known = {"id": id, "how": how, "to": to, "by": "kim", "since": NOW, "expires": None}
    return {**known, "link": None, "members": None, "note": "", "opened": [], **changes}


def serve(site: Misbehaving, *items: dict[str, Any], links: str = "signed-in") -> None:
    body = {"items": items, "groups": ["imaging"], "links": links}
    site.on("GET", SHARES, Reply(body=body))


def test_who_may_read_is_shown_with_who_did_and_a_link_to_copy(
    site: Misbehaving, shell: Shell
) -> None:
    link = f"{site.url}/shared/" + "x" * 91
    group = share("01B", "group", "imaging", members=4, note=f"No such group. {EVIL}")
    opened = [{"user": EVIL, "opened": NOW}, {"user": None, "opened": NOW}]
    until = {"expires": "2026-12-23T02:05:59Z"}
    serve(site, group, share("01C", "link", None, link=link, opened=opened, **until))

    said = shell.run("share", JOB_ID).out

    assert "group imaging (4 people)" in said
    assert "you take it back" in said
    assert "2026-12-23 02:05 UTC" in said
    assert "somebody, " in said
    assert said.splitlines()[-1] == link
    assert not {"\x1b", "\x07", "\u202e"} & set(said)


def test_who_has_shared_nothing_is_told_how(site: Misbehaving, shell: Shell) -> None:
    serve(site)
    assert "--user NAME or --group NAME (imaging) or --link" in shell.run("share", JOB_ID).err
    serve(site, links="off")
    assert "--link" not in shell.run("share", JOB_ID).err
    assert shell.run("share", JOB_ID, "--json").err == ""


def test_what_is_taken_back_is_named_exactly(site: Misbehaving, shell: Shell) -> None:
    serve(site, share("01A", "user", "imaging"), share("01B", "group", "imaging"))
    site.on("DELETE", f"{SHARES}/01B", Reply(status=404, body={"detail": "gone"}))

    both = shell.run("share", JOB_ID, "--take-back=imaging", code=2).err
    none = shell.run("share", JOB_ID, "--take-back=eve", code=2).err
    lone = shell.run("share", JOB_ID, "--days=3", code=2).err
    shell.run("share", JOB_ID, "--take-back=group:imaging")

    assert "say group:imaging or user:imaging" in both
    assert "it is not shared with 'eve', but with imaging, imaging" in none
    assert "say with whom you share" in lone
    assert [seen.path for seen in site.seen if seen.method == "DELETE"] == [f"{SHARES}/01B"]


def test_a_copy_that_got_no_answer_is_found_by_the_same_words(
    site: Misbehaving, shell: Shell
) -> None:
    serve_submissions(site)
    made = [{"problem": f"01P{n}", "request": {"kind": "fit", "title": "cold"}} for n in (1, 2)]
    site.on("POST", f"/jobs/{JOB_ID}/copy", *(Reply(body=one) for one in made))
    accept = site.routes["POST", "/jobs"]
    site.on("POST", "/jobs", Reply(cut_after=-1), accept)

    shell.run("copy", JOB_ID, code=4, BUMPS_REMOTE_PATIENCE="0")
    said = shell.run("copy", JOB_ID, "--cpus=2", "--new", BUMPS_REMOTE_PATIENCE="0")
    shell.run("copy", JOB_ID)

    first, other, again = site.asked("POST", "/jobs")
    assert (again.key, again.body) == (first.key, first.body)
    assert other.key != first.key
    assert other.json["resources"] == {"cpus_per_task": 2}
    assert "watch it: " in said.err


def test_a_job_without_a_problem_cannot_be_copied(site: Misbehaving, shell: Shell) -> None:
    serve_submissions(site)
    site.on("POST", f"/jobs/{JOB_ID}/copy", Reply(body={"problem": None, "request": {}}))

    assert "no problem that could be copied" in shell.run("copy", JOB_ID, code=6).err


def test_jobs_of_others_are_listed_with_whose_they_are(site: Misbehaving, shell: Shell) -> None:
    site.on("GET", "/jobs", Reply(body={"items": [job_document(owner="ada")]}))

    assert "ada" in shell.run("shared").out
    assert site.asked("GET", "/jobs")[0].query["shared"] == "true"
