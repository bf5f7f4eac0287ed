"""The commands for jobs that people submit by hand: make the directory, bring it under watch."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import click

from gateway.cli_reported import reported
from gateway.clusters.settings import ClusterSettings
from gateway.errors import InvalidError
from gateway.settings import Settings, SettingsError, load_settings


def _pairs(_context: click.Context, parameter: click.Parameter, words: tuple[str, ...]) -> Any:
    """Read NAME=VALUE; the last of a name counts."""
    found = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not name:
            raise click.BadParameter(f"{word!r}: write NAME=VALUE", param=parameter)
        found[name] = value
    return found


def _job_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what runs."""
    for option in reversed(
        (
            click.option("--fit", default="", help="The method; without it the site's default."),
            click.option(
                "--option", "options", multiple=True, callback=_pairs, metavar="NAME=VALUE",
                help="An option of the method, such as samples=20000; may be repeated.",
            ),
            click.option(
                "--resource", "resources", multiple=True, callback=_pairs, metavar="NAME=VALUE",
                help="An option of sbatch, such as time=2:00:00 or cpus_per_task=4.",
            ),
            click.option("--mode", default="fit", help="fit, check, chisq or simulate."),
            click.option("--seed", type=int, help="Without it one is drawn."),
            click.option("--title", default="", help="Without it the problem's name."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


@click.command()
@click.option(
    "--problem", required=True, metavar="FILE|ID",
    help="A model script (.py), a bumps problem or a document as the API takes it (.json); or the "
    "id of a problem of a gateway on this host.",
)  # fmt: skip
@click.option(
    "--file", "files", multiple=True, metavar="[NAME=]FILE",
    help="A file beside a model script: data, helpers; may be repeated.",
)  # fmt: skip
@click.option("--arg", "args", multiple=True, help="An argument of a model script; in order.")
@_job_options
@click.option("--cluster", default="", help="A cluster of the settings, instead of what follows.")
@click.option(
    "--base", help="Folder for job directories that compute nodes see, too  [default: ~/bumps-jobs]"
)
@click.option("--python", help="Python of the compute nodes with bumps  [default: this one]")
@click.option("--user", default="", help="Your name at the gateway  [default: your login]")
@reported
def script(problem: str, cluster: str, user: str, **words: Any) -> None:
    """Make a job's directory to submit by hand, and write its script to standard output.

    No gateway need run. The script is in the directory, too: submit it with 'sbatch', as often as
    you like; it runs once.
    """
    from gateway.by_hand.make import Asked, make_directory

    settings, name = _site(cluster, words["base"], words["python"])
    login = getpass.getuser()
    asked = Asked(
        problem=problem,
        files=_named(words["files"]),
        args=words["args"],
        request=_request(words),
        user=user or login,
        login=login,
    )
    made = make_directory(settings, name, asked)
    click.echo(made.script, nl=False)
    for warning in made.warnings:
        click.echo(f"note: {warning}", err=True)
    click.echo(f"directory: {made.directory}", err=True)
    click.echo(f"submit it with: sbatch {made.directory}/job.sh", err=True)
    base = settings.clusters[name].base_of(login)
    click.echo(_how_to_adopt(base, cluster, login, asked.user, made.directory), err=True)


@click.command()
@click.argument("directory", metavar="JOBDIR")
@click.option("--cluster", default="", help="Where it was submitted  [default: the default one]")
@click.option("--user", default="", help="Whose job it becomes  [default: as its path says]")
@reported
def adopt(directory: str, *, cluster: str, user: str) -> None:
    """Bring a job under watch that was submitted by hand; nothing is submitted.

    JOBDIR is the directory that 'script' made, as it is called on the cluster.
    """
    from gateway.by_hand.adopt import Adoption
    from gateway.reach.reach import Reach
    from gateway.services import open_gateway

    place = PurePosixPath(directory)
    if not place.is_absolute() or ".." in place.parts or len(place.parts) < 4:
        raise InvalidError.at("/directory", f"{directory[:300]!r}: give the whole path, /.../ID/1")
    settings = load_settings()
    gateway = open_gateway(settings)
    with closing(Reach(settings, gateway.cluster_accounts)) as reach:
        adoption = Adoption(
            gateway, reach, cluster or settings.default_cluster, user or place.parts[-3]
        )
        job, new = adoption.adopt(place)
    if new:
        click.echo(f"adopted: job {job.id} of {job.owner} on {job.cluster}")
    else:
        click.echo(f"known already: job {job.id} of {job.owner} on {job.cluster}")
    click.echo(f"{settings.url}/jobs/{job.id}")


def _site(cluster: str, base: str | None, python: str | None) -> tuple[Settings, str]:
    """Give settings that have the cluster: the site's own, or one that is described here."""
    from gateway.by_hand.make import CLUSTER

    settings = load_settings(with_secret=False)
    if not cluster:
        try:
            found = ClusterSettings(
                scheduler="slurm",
                title=CLUSTER,
                base=str(Path(base or "~/bumps-jobs").expanduser().absolute()),
                python=python or sys.executable,
            )
        except ValueError as error:
            raise SettingsError(str(error)) from error
        return replace(settings, clusters={CLUSTER: found}), CLUSTER
    if cluster not in settings.clusters:
        known = ", ".join(settings.clusters)
        raise SettingsError(f"{cluster[:64]!r} is no cluster of these settings; known: {known}")
    if base or python:
        raise SettingsError("--cluster has its base and its python: leave out --base and --python")
    return settings, cluster


def _how_to_adopt(base: str, cluster: str, login: str, user: str, place: PurePosixPath) -> str:
    """Say how to bring the job under watch, where a gateway would find it; else what is needed."""
    here = load_settings(with_secret=False).clusters
    bases = {name: one.base_of(login) for name, one in here.items()}
    fit = [name for name in (cluster, *bases) if bases.get(name) == base]
    if fit:
        words = f"adopt {place} --cluster {fit[0]} --user {user}"
        return f"then, on the gateway's host: bumps-gateway {words}"
    known = ", ".join(f"{name} ({path})" for name, path in bases.items())
    return (
        f"no gateway can adopt it: {base} is the base of no cluster of these settings, which are "
        f"{known}. For that make it with --cluster NAME and the gateway's settings, or with --base "
        "as they have it, and --user with your name there"
    )


def _request(words: dict[str, Any]) -> dict[str, Any]:
    options = {name: _value(text) for name, text in words["options"].items()}
    if words["fit"]:
        options["fit"] = words["fit"]
    asked = {"options": options, "resources": words["resources"], "mode": words["mode"]}
    given = {name: words[name] for name in ("seed", "title") if words[name] not in (None, "")}
    return {"kind": "fit", **asked, **given}


def _value(text: str) -> Any:
    """Read a number or a truth value; anything else is a word."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _named(words: tuple[str, ...]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for word in words:
        name, sign, path = word.partition("=")
        where = Path(path) if sign else Path(word)
        key = name if sign else where.name
        if key in found:
            raise InvalidError.at("/files", f"{key!r} is given twice: write NAME=FILE for one")
        found[key] = where
    return found
