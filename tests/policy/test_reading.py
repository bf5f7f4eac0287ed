"""A policy is read whole or refused with the key that is wrong; what holds is never half of one."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.jobs.expert import Additions
from gateway.policy.file import NAME, NoPolicyError, PolicyFile
from gateway.policy.models import Allowance
from gateway.policy.reading import PolicyError
from gateway.resources import cupboard
from tests.policy.documents import FULL, policy


def test_what_is_said_of_one_is_laid_over_what_is_said_of_each() -> None:
    found = policy()
    assert found.users["bob"] == Allowance(jobs=1, submissions_per_hour=200)
    assert [one.key for one in found.holders("bob", "hp-117")] == [
        "user:bob", "group:imaging", "proposal:hp-117",
    ]  # fmt: skip
    assert [one.key for one in found.holders("eve", "gone since")] == ["user:eve"]
    assert list(found.proposals_of("ada")) == ["hp-117"]
    assert list(found.proposals_of("eve")) == ["xr-3"]
    assert found.groups_of("eve") == ()


def test_the_window_of_each_is_for_those_who_have_core_hours() -> None:
    text = '[limits.each_user]\nwindow = "day"\n[limits.users.bob]\ncore_hours = 3'
    assert policy(text).users["bob"] == Allowance(core_hours=3, window="day")
    free = '[limits.each_user]\ncore_hours = 3\n[limits.users.bob]\nwindow = "day"'
    assert policy(free).users["bob"] == Allowance(core_hours=3, window="day")


def test_without_a_word_everything_is_allowed() -> None:
    assert not policy("").limits_jobs
    assert policy().limits_jobs
    assert policy("[limits.users.ada]\ncpus = 4").limits_jobs


def test_what_may_be_added_to_scripts_is_of_all_of_ones_group_and_of_oneself_together() -> None:
    text = (
        '[groups.imaging]\nmembers = ["ada"]\n[expert]\ndirectives = ["exclude"]\n'
        '[expert.groups.imaging]\nlines = true\n[expert.users.eve]\ndirectives = ["begin"]\n'
    )
    found = policy(text)
    assert found.additions("ada") == Additions(directives=("exclude",), lines=True)
    assert found.additions("eve") == Additions(directives=("exclude", "begin"))
    assert not policy().additions("ada")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('directives = ["output"]', "[expert] directives: 'output' is the gateway's own: it says"),
        ('directives = ["dependency"]', "'dependency' is the gateway's own"),
        ('directives = ["mem-per-gpu"]', "'mem-per-gpu' is no option that can be added; known"),
        ('directives = "exclude"', "expert.directives = 'exclude' is not of type tuple"),
        ("lines = 1", "expert.lines = 1 is not of type bool"),
        ("line = true", "unknown key expert.line; known: directives, lines"),
        ("[expert.groups.nobody]\nlines = true", "expert.groups: there is no [groups.nobody]"),
        ('[expert.users.ada]\ndirectives = ["uid"]', "[expert.users.ada] directives: 'uid' is the"),
    ],
)
def test_a_policy_that_would_let_the_protocol_be_changed_is_refused(text: str, said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        policy(f"[expert]\n{text}")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("jobs = 3", "jobs = -3", "[limits.each_user] jobs = -3: give 0 for no limit"),
        ("jobs = 3", "jobs = true", "limits.each_user.jobs = True is not of type int"),
        ("jobs = 3", "job = 3", "unknown key limits.each_user.job; known: core_hours"),
        ("core_hours = 1000", "core_hours = inf", "core_hours = inf: give 0"),
        ("core_hours = 1000", "core_hours = nan", "core_hours = nan: give 0"),
        ('window = "week"', 'window = "year"', "window = 'year': choose day, week, month"),
        ("core_hours = 1000", "", "[limits.groups.imaging] has a window and no core_hours"),
        ("jobs = 1\n", 'window = "day"\n', "give limits.users.bob.core_hours, or leave window out"),
        ("jobs = 3", 'window = "day"', "[limits.each_user] has a window and no core_hours"),
        ("[limits.groups.imaging]", "[limits.groups.x]", "limits.groups: there is no [groups.x]"),
        ('["imaging"]', '["nobody"]', "proposals.hp-117.groups: there is no [groups.nobody]"),
        ('["ada", "bob"]', '["ada", "Bob!"]', "groups.imaging.members[1]: 'Bob!' is not a name"),
        ("first = 2026-11-20", "first = 2026-11-25", "last = 2026-11-24 is before first"),
        ("first = 2026-11-20", 'first = "2026-11-20"', "proposals.hp-117.first = '2026-11-20'"),
        ("first = 2026-11-20", "first = 2026-11-20T12:00:00", "is not of type date"),
        ("first = 2026-11-20\n", "", "proposals.hp-117.first is missing"),
        ('"hp117"', '"hp 117\\n#SBATCH"', "proposals.hp-117.account = 'hp 117"),
        ('users = ["eve"]', "", "[proposals.xr-3] has neither users nor groups"),
        ("[proposals.xr-3]", '[proposals."a b"]', "proposals: 'a b' is not a name"),
        ("[groups.imaging]", "[group.imaging]", "unknown key group; known: groups, limits"),
        ("[limits.each_user]", "[limits.all]", "unknown key limits.all"),
        ("[groups.imaging]", "groups.x = 3\n[groups.imaging]", "[groups.x] must be a table"),
        ("[groups.imaging]", "[groups.imaging", "policy.toml: "),
    ],
)  # fmt: skip
def test_a_wrong_policy_is_refused_by_its_key(old: str, new: str, said: str) -> None:
    assert old in FULL
    with pytest.raises(PolicyError) as caught:
        policy(FULL.replace(old, new, 1))
    assert said in str(caught.value)
    assert str(caught.value).startswith("policy.toml: ")
    assert "\n" not in str(caught.value).replace("\\n", "")


def test_the_example_of_the_documentation_is_a_policy() -> None:
    example = policy((cupboard("config") / "policy.toml").read_text(encoding="utf-8"))
    assert example.groups
    assert example.proposals
    assert example.limits_jobs


def test_another_policy_holds_at_once_and_a_wrong_one_changes_nothing(tmp_path: Path) -> None:
    reader, writer = PolicyFile(tmp_path), PolicyFile(tmp_path)
    assert reader.current() == policy("")
    writer.put(FULL, "my.toml")
    assert reader.current() == policy()
    with pytest.raises(PolicyError, match=r"my\.toml: unknown key x"):
        writer.put("x = 1", "my.toml")
    assert reader.current() == policy()
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_nobody_is_allowed_more_by_a_policy_that_is_damaged(tmp_path: Path) -> None:
    file = PolicyFile(tmp_path)
    file.put(FULL, "my.toml")
    assert file.current() == policy()
    deep = b"a = " + b"[" * 100_000
    long = b"[limits.each_user]\ncore_hours = 1" + b"0" * 5_000
    large = b"[limits.each_user]\ncore_hours = 1" + b"0" * 400
    for damage in (b"[limits", b"\xff\xfe", deep, long, large):
        (tmp_path / NAME).write_bytes(damage)
        with pytest.raises(NoPolicyError, match="administrators have to mend it"):
            file.current()
    (tmp_path / NAME).unlink()
    (tmp_path / NAME).mkdir()
    with pytest.raises(NoPolicyError):
        file.current()


def test_a_policy_that_could_not_be_read_is_tried_again_when_its_rights_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = PolicyFile(tmp_path)
    file.put(FULL, "my.toml")
    path = tmp_path / NAME

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied", str(path))  # root may read everything

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", refuse)
        with pytest.raises(NoPolicyError):
            file.current()
    path.chmod(0o640)
    assert file.current() == policy()
