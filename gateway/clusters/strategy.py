"""What follows from what a cluster can do: how the gateway goes about its jobs, in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.clusters.models import Found
from gateway.clusters.settings import ClusterSettings


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One thing that was found, and what is done about it."""

    found: str
    follows: str
    good: bool = True
    """False where an administrator should change something."""


def strategy(found: Found, settings: ClusterSettings) -> list[Rule]:
    """Say what follows, the most important first."""
    if settings.scheduler == "local":
        return [
            Rule(
                found="this host runs the jobs itself",
                follows="no command is given to anybody; ends are seen in each round",
            )
        ]
    return list(_rules(found, settings))


def _rules(found: Found, settings: ClusterSettings) -> Iterator[Rule]:
    yield _memory(found, settings)
    yield _pace(settings)
    yield _accounting(found)
    yield _arrays(found, settings)
    if found.manners.message_timeout_s:
        yield _lost_answers(found.manners.message_timeout_s, settings)
    if found.manners.part_limits:
        yield _part_limits(found)
    yield _enforced(found, settings)
    if found.manners.max_jobs:
        yield Rule(
            found=f"the controller holds {found.manners.max_jobs} jobs of all users at once",
            follows=f"at most {settings.max_jobs} of this gateway's are there at once (max_jobs); "
            "others wait here"
            if settings.max_jobs
            else "max_jobs = 0: this gateway hands over as many as there are; set max_jobs to "
            "leave room for others",
        )
    if found.manners.offers_json is not None:
        yield Rule(
            found=f"answers as JSON are {'' if found.manners.offers_json else 'not '}offered",
            follows="text is read, with a separator drawn anew for each question: all versions of "
            "Slurm print it alike",
        )


def _memory(found: Found, settings: ClusterSettings) -> Rule:
    """Compare how long ended jobs are remembered with the longest time between two questions."""
    age, most = found.manners.min_job_age_s, settings.look_most_s
    if age is None:
        return Rule(
            found="nobody told how long ended jobs are remembered (MinJobAge)",
            follows=f"jobs are asked for at least every {most:g} s while one lives",
        )
    text = f"ended jobs leave Slurm's memory after {age} s (MinJobAge)"
    if age > most:
        return Rule(
            found=text,
            follows=f"jobs are asked for at least every {most:g} s while one lives, so each end "
            "is seen in the queue itself",
        )
    if found.manners.accounting:
        return Rule(
            found=text,
            follows=f"that is not longer than the {most:g} s between two questions "
            "(look_most_s), so ends that were missed are taken from the accounting",
        )
    return Rule(
        found=text,
        follows=f"that is not longer than the {most:g} s between two questions, and there is no "
        f"accounting: set look_most_s below {age}; until then ends that were missed are taken "
        "from the jobs' own files",
        good=False,
    )


def _pace(settings: ClusterSettings) -> Rule:
    ceiling = settings.calls_per_minute
    most = f"at most {ceiling} in any minute for" if ceiling else "without a ceiling for"
    return Rule(
        found="one question is for all jobs of an account",
        follows=f"it is asked {most} each account (calls_per_minute), the sooner the more changes "
        f"(every {settings.look_s:g} to {settings.look_most_s:g} s)",
        good=bool(ceiling) or settings.ssh is None,
    )


def _accounting(found: Found) -> Rule:
    if found.manners.accounting is None:
        return Rule(found="nobody told of an accounting", follows="it is asked all the same")
    if found.manners.accounting:
        return Rule(
            found="the accounting keeps ended jobs",
            follows="it is asked for jobs that have left the queue, many at once; while it is "
            "silent nothing is concluded from that",
        )
    return Rule(
        found="there is no accounting",
        follows="a job that Slurm has forgotten is judged by the files that its script left; the "
        "time and memory that it took are not known",
    )


def _arrays(found: Found, settings: ClusterSettings) -> Rule:
    text = f"the highest index of an array is {found.max_array - 1} (MaxArraySize)"
    if settings.max_array > found.max_array - 1:
        return Rule(
            found=text,
            follows=f"max_array = {settings.max_array} promises more than Slurm takes: set it to "
            f"at most {found.max_array - 1}",
            good=False,
        )
    return Rule(found=text, follows=f"one array has at most {settings.max_array} tasks (max_array)")


def _lost_answers(timeout_s: int, settings: ClusterSettings) -> Rule:
    """Compare how late a submission may arrive with the pause after which it is given up."""
    text = f"a command waits up to {timeout_s} s for the controller (MessageTimeout)"
    pause_s = settings.look_again_s
    if pause_s < 2 * timeout_s:
        return Rule(
            found=text,
            follows=f"a submission whose answer was lost is given up after two looks {pause_s:g} s "
            f"apart, and a job that comes later ends at once: set look_again_s to {2 * timeout_s}, "
            "so that it is kept",
            good=False,
        )
    return Rule(
        found=text,
        follows=f"a submission whose answer was lost is given up after two looks {pause_s:g} s "
        "apart (look_again_s)",
    )


def _part_limits(found: Found) -> Rule:
    word = found.manners.part_limits
    if word.upper() == "NO":
        return Rule(
            found="a job over its partition's limits is taken, and waits (EnforcePartLimits = NO)",
            follows="the page of such a job says that it will never start, and what to change",
        )
    return Rule(
        found=f"a job over its partition's limits is refused (EnforcePartLimits = {word})",
        follows="its owner reads Slurm's words, and nothing waits in vain",
    )


def _enforced(found: Found, settings: ClusterSettings) -> Rule:
    words = found.manners.enforced
    if words:
        return Rule(
            found=f"Slurm enforces {', '.join(words)}",
            follows="a job over them waits or is refused over there; its page says for what",
        )
    own = settings.max_jobs_per_user or settings.max_cpus_per_user
    return Rule(
        found="Slurm enforces no limits of accounts or QOS",
        follows=f"one user has at most {_own(settings)} there at once (this gateway's limits)"
        if own
        else "nothing keeps one user from taking all: set max_jobs_per_user or max_cpus_per_user",
        good=bool(own),
    )


def _own(settings: ClusterSettings) -> str:
    jobs = f"{settings.max_jobs_per_user} jobs" if settings.max_jobs_per_user else ""
    cpus = f"{settings.max_cpus_per_user} processors" if settings.max_cpus_per_user else ""
    return " and ".join(word for word in (jobs, cpus) if word)
