"""Results come home whole, and land where they belong."""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from bumps_remote import Connection
from bumps_remote.errors import RemoteError

from tests.client.site import JOB_ID, TOKEN, Misbehaving, Reply, Seen, Shell, serve_results
from tests.helpers import eventually

BIG = bytes(range(256)) * 4000
FILES = {
    "result.0.json": b'{"chisq": 1}',
    "out/curves.json": b"{}",
    "out/session.h5": BIG,
    "out/empty": b"",
}
SESSION = f"/jobs/{JOB_ID}/files/out/session.h5"


def fetch(shell: Shell, *more: str, code: int = 0) -> str:
    return shell.run("fetch", JOB_ID, "-o", "here", *more, code=code).err


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_all_files_are_here_and_listed_with_their_digests(site: Misbehaving, shell: Shell) -> None:
    serve_results(site, FILES)

    done = shell.run("fetch", JOB_ID, "-o", "here", "--json")

    assert done.json["files"] == list(FILES)
    assert everything(shell.work / "here") == {*FILES, "manifest.json"}
    for name, content in FILES.items():
        assert (shell.work / "here" / name).read_bytes() == content
    manifest = json.loads((shell.work / "here" / "manifest.json").read_text(encoding="utf-8"))
    assert [row["path"] for row in manifest["files"]] == list(FILES)


@pytest.mark.parametrize("whole_again", [False, True], ids=["range", "no range"])
def test_a_download_that_is_cut_goes_on_where_it_was(
    site: Misbehaving, shell: Shell, whole_again: bool
) -> None:
    serve_results(site, FILES)

    def rest(seen: Seen) -> Reply:
        start = int(seen.headers["Range"].removeprefix("bytes=").rstrip("-"))
        assert 0 < start <= 300_000
        if whole_again:
            return Reply(body=BIG)
        return Reply(status=206, body=BIG[start:])

    site.on("GET", SESSION, Reply(body=BIG, cut_after=300_000), Reply(status=503), rest)

    fetch(shell)

    assert (shell.work / "here" / "out" / "session.h5").read_bytes() == BIG


@pytest.mark.parametrize(
    "wrong", [BIG[:-1], BIG + b"x", b"x" + BIG[1:]], ids=["short", "long", "changed"]
)
def test_a_file_that_is_not_as_listed_does_not_stay(
    site: Misbehaving, shell: Shell, wrong: bytes
) -> None:
    serve_results(site, FILES)
    site.on("GET", SESSION, Reply(body=wrong))

    assert "another digest than listed" in fetch(shell, code=6)

    assert not [name for name in everything(shell.work / "here") if "session" in name]


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/evil",
        "out/../../evil",
        "a\\..\\evil",
        "C:evil",
        "out//evil",
        "",
        "out/\x1b[2J",
    ],
)
def test_a_name_that_leads_elsewhere_fetches_nothing(
    site: Misbehaving, shell: Shell, name: str
) -> None:
    serve_results(site, {"result.0.json": b"{}", name: b"evil"})

    assert "nothing was fetched" in fetch(shell, code=6)

    assert everything(shell.work) == set()


def test_a_link_that_lies_in_the_folder_is_not_followed(
    site: Misbehaving, shell: Shell, tmp_path: Path
) -> None:
    serve_results(site, FILES)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (shell.work / "here").mkdir()
    (shell.work / "here" / "out").symlink_to(elsewhere)

    assert "would be written outside" in fetch(shell, code=6)

    assert list(elsewhere.iterdir()) == []


def test_files_that_are_here_are_not_fetched_again(site: Misbehaving, shell: Shell) -> None:
    serve_results(site, FILES)
    fetch(shell)
    fetch(shell)

    assert len(site.asked("GET", SESSION)) == 1


@pytest.mark.parametrize("right", [True, False], ids=["its own", "of something else"])
def test_a_fetch_that_was_killed_goes_on_with_what_is_here(
    site: Misbehaving, shell: Shell, right: bool
) -> None:
    serve_results(site, FILES)
    whole = site.routes["GET", SESSION]

    def rest(seen: Seen) -> Reply:
        if "Range" not in seen.headers:
            return whole(seen)
        return Reply(status=206, body=BIG[200_000:])

    site.routes["GET", SESSION] = rest
    part = shell.work / "here" / "out" / "session.h5.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(BIG[:200_000] if right else b"x" * 200_000)

    fetch(shell)

    assert (part.parent / "session.h5").read_bytes() == BIG
    ranges = [seen.headers.get("Range") for seen in site.asked("GET", SESSION)]
    assert ranges == (["bytes=200000-"] if right else ["bytes=200000-", None])
    assert not part.exists()


def test_a_part_that_is_a_link_is_not_written_through(
    site: Misbehaving, shell: Shell, tmp_path: Path
) -> None:
    serve_results(site, FILES)
    victim = tmp_path / "victim"
    victim.write_bytes(BIG[:10])
    part = shell.work / "here" / "out" / "session.h5.part"
    part.parent.mkdir(parents=True)
    part.symlink_to(victim)

    fetch(shell)

    assert victim.read_bytes() == BIG[:10]
    assert (part.parent / "session.h5").read_bytes() == BIG


def test_pickles_stay_there_unless_trusted(site: Misbehaving, shell: Shell) -> None:
    hidden = b"\x80\x04\x95" + b"\0" * 20  # under a name that says nothing
    pickles = {"out/state.pkl": b"anything", "out/notes.txt": hidden}
    serve_results(site, {"result.0.json": b"{}", **pickles})

    left = shell.run("fetch", JOB_ID, "-o", "here", "--json")
    named = shell.run("fetch", JOB_ID, "-o", "one", "--only", "out/state.pkl", code=6)
    said = shell.run("fetch", JOB_ID, "-o", "here")
    asked = len(site.asked("GET", f"/jobs/{JOB_ID}/files/out/state.pkl"))
    trusted = shell.run("fetch", JOB_ID, "-o", "there", "--trust", "--json")

    assert left.json["files"] == ["result.0.json"]
    assert left.json["refused"] == list(pickles)
    assert everything(shell.work / "here") == {"result.0.json", "manifest.json"}
    assert "left there, as pickles: out/state.pkl, out/notes.txt" in said.err
    assert "--trust" in named.err
    assert asked == 0
    assert trusted.json["refused"] == []
    assert (shell.work / "there" / "out" / "notes.txt").read_bytes() == hidden


def test_a_file_of_another_content_is_replaced_only_by_force(
    site: Misbehaving, shell: Shell
) -> None:
    serve_results(site, FILES)
    shell.write("here/result.0.json", "mine")

    assert "is there already with another content" in fetch(shell, code=6)
    assert (shell.work / "here" / "result.0.json").read_text(encoding="utf-8") == "mine"
    fetch(shell, "--force")
    assert (shell.work / "here" / "result.0.json").read_bytes() == FILES["result.0.json"]


def test_an_incomplete_job_says_so(site: Misbehaving, shell: Shell) -> None:
    serve_results(site, FILES, complete=False)

    assert "left less than its own list" in fetch(shell)


def test_one_file_can_be_fetched_alone(site: Misbehaving, shell: Shell) -> None:
    serve_results(site, FILES)

    fetch(shell, "--only", "out/curves.json")

    assert everything(shell.work / "here") == {"out/curves.json", "manifest.json"}
    assert "left no file 'nope'" in fetch(shell, "--only", "nope", code=6)


def test_two_fetches_into_one_folder_take_turns(site: Misbehaving, shell: Shell) -> None:
    serve_results(site, FILES)
    held = threading.Event()
    site.on("GET", SESSION, Reply(body=BIG, wait=held))
    words = ("fetch", JOB_ID, "-o", "here")

    with shell.started(*words) as first:
        eventually(lambda: site.asked("GET", SESSION), what="the first fetch")
        with shell.started(*words) as second:
            assert second.stderr is not None
            assert "another fetch writes into here: waiting" in second.stderr.readline()
            held.set()
            said = [one.communicate(timeout=60)[0] for one in (first, second)]
    assert [text.count("session.h5\n") for text in said] == [1, 1]
    assert (first.returncode, second.returncode) == (0, 0)
    assert len(site.asked("GET", SESSION)) == 1
    assert (shell.work / "here" / "out" / "session.h5").read_bytes() == BIG
    assert not list((shell.home / "state").rglob("*.lock"))
    shell.run("fetch", JOB_ID, "-o", "there", XDG_STATE_HOME="/proc/nowhere")


def test_a_part_that_others_put_into_its_place_does_not_stay(
    site: Misbehaving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    serve_results(site, FILES)
    folder = tmp_path / "there"
    part = folder / "out" / "session.h5.part"
    written: list[bool] = []

    def meddle(done: int, _total: int) -> None:
        if done > 300_000 and not written:
            written.append(True)
            part.unlink()
            part.write_bytes(BIG[:5])

    with (
        Connection(site.url, TOKEN) as connection,
        pytest.raises(RemoteError, match="another digest than listed"),
    ):
        connection.fetch(JOB_ID, folder, ["out/session.h5"], told=meddle)
    assert written
    assert everything(folder) == set()


def test_a_file_that_changed_between_two_parts_does_not_stay(
    site: Misbehaving, shell: Shell
) -> None:
    serve_results(site, FILES)
    other = bytes(reversed(BIG))
    site.on("GET", SESSION, Reply(body=BIG, cut_after=300_000), Reply(body=other))

    assert "another digest than listed" in fetch(shell, code=6)

    rest = site.asked("GET", SESSION)[1].headers
    assert rest["If-Range"].strip('"') == hashlib.sha256(BIG).hexdigest()
    assert not [name for name in everything(shell.work / "here") if "session" in name]


def test_a_disk_that_is_full_is_named_and_the_fetch_goes_on_later(
    site: Misbehaving, shell: Shell
) -> None:
    serve_results(site, FILES)
    small = (resource.RLIMIT_FSIZE, (512_000, 512_000))

    done = subprocess.run(
        [sys.executable, "-m", "bumps_remote.cli", "fetch", JOB_ID, "-o", "here"],
        cwd=shell.work,
        env=shell.environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(*small),
    )
    site.on("GET", SESSION, lambda seen: Reply(status=206, body=BIG[start_of(seen) :]))
    fetch(shell)

    assert done.returncode == 2
    assert "session.h5.part cannot be written: " in done.stderr
    assert "give the same command again" in done.stderr
    assert start_of(site.asked("GET", SESSION)[-1]) == 512_000
    assert (shell.work / "here" / "out" / "session.h5").read_bytes() == BIG


def start_of(seen: Seen) -> int:
    return int(seen.headers["Range"].removeprefix("bytes=").rstrip("-"))


def test_more_than_the_disk_holds_is_said_before_anything_comes(
    site: Misbehaving, shell: Shell
) -> None:
    serve_results(site, FILES)
    row = {"path": "out/huge", "size": 1 << 60, "digest": "0" * 64}
    body = {"job": JOB_ID, "complete": True, "results": [], "files": [row]}
    site.on("GET", f"/jobs/{JOB_ID}/results", Reply(body=body))

    said = fetch(shell, code=2)

    assert "1152921504.6 GB are to come, and the disk has" in said
    assert everything(shell.work / "here") == set()
    assert not site.asked("GET", f"/jobs/{JOB_ID}/files/out/huge")


def test_one_elements_result_is_checked_too(site: Misbehaving, shell: Shell) -> None:
    rows = [{"index": 0, "label": "a"}]
    name = "out/0/result.json"
    serve_results(site, {name: b"{}"}, results=[{"elements": rows}])
    for body, said in ((b"{ }", "another digest than listed"), (b"[]", "holds no JSON object")):
        serve_results(site, {name: b"[]"}, results=[{"elements": rows}])
        site.on("GET", f"/jobs/{JOB_ID}/files/{name}", Reply(body=body))
        assert said in shell.run("results", JOB_ID, "--element=a", code=6).err
