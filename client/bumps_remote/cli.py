"""``bumps-remote``: the commands, the drop-in, and what the exit code says.

Exit codes: 0 ok, 1 the job failed, 2 wrong usage or a local file is not as it must be, 3 not logged
in or not allowed, 4 the server does not answer, 5 time is over, 6 the server refused.
"""

from __future__ import annotations

import atexit
import difflib
import gc
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from bumps_remote import __version__
from bumps_remote.commands import forecast, jobs, look, more, results, session, share, submit
from bumps_remote.errors import RemoteError, UsageError
from bumps_remote.overview import write_sections
from bumps_remote.text import clean, clean_line

_INTERRUPTED = 130
_JOB = "which job? Give its ID, at least 4 signs of it, or 'last'"
_WHICH = {
    "id": _JOB,
    "ids": _JOB,
    "target": f"{_JOB}; or a bundle.zip that was fetched, with --local",
    "shell": "which shell? bash, zsh or fish",
    "model": "which model? A .py script or a bumps .json",
}


class Program(click.Group):
    """Commands; what begins with a model instead is ``run``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put in the word ``run`` where a user of bumps has left it out."""
        first = next((word for word in args if not word.startswith("-")), "")
        if first not in self.commands:
            if any(word.endswith(submit.MODELS) for word in args):
                args = ["run", *args]
            elif first and Path(first).is_file():
                raise click.UsageError(f"{first} is no model: it must end in .py or .json")
            elif first and args[0] == first:
                raise click.UsageError(self._no_command(first))
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete commands, and the models that may stand in their place."""
        found = super().shell_complete(ctx, incomplete)
        return found or [CompletionItem(incomplete, type="file")]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as click calls it
        """List the commands by what one wants to do."""
        write_sections(formatter)

    def _no_command(self, word: str) -> str:
        near = difflib.get_close_matches(word, self.commands, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "--help lists them all."
        return f"there is no command {clean_line(word, 40)!r}: {hint} A model ends in .py or .json."


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 ok, 1 failed job, 2 usage, 3 auth, 4 unreachable, 5 timeout, "
    "6 conflict or refused, 130 interrupted. An ID may be its unique beginning or end, or 'last'.",
)
@click.version_option(__version__, prog_name="bumps-remote")
def program() -> None:
    """Run bumps fits on a cluster: bumps-remote model.py --fit=dream --samples=20000"""  # noqa: D400


for _command in (
    session.login,
    session.logout,
    session.profiles,
    session.info,
    submit.submit,
    submit.run,
    forecast.forecast,
    look.clusters,
    look.compare,
    look.completion,
    jobs.list_jobs,
    jobs.status,
    jobs.wait,
    jobs.watch,
    jobs.logs,
    jobs.stop,
    jobs.cancel,
    jobs.resume,
    jobs.instead,
    jobs.delete,
    results.results,
    results.fetch,
    results.open_session,
    results.script,
    results.rerun,
    share.share,
    share.shared,
    share.copy,
    more.tags,
    more.journal,
):
    program.add_command(_command)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program and end with its exit code."""
    # At the end Python looks for garbage in all that was imported: a quarter of a short command.
    atexit.register(gc.freeze)
    sys.exit(_run(list(sys.argv[1:] if argv is None else argv)))


def _run(argv: list[str]) -> int:
    try:
        found = program.main(argv, prog_name="bumps-remote", standalone_mode=False)
    except click.MissingParameter as error:
        named = error.param.name if error.param else ""
        if named in _WHICH:
            click.UsageError(_WHICH[named], error.ctx).show()
        else:
            error.show()
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        return _interrupted(error)
    except RemoteError as error:
        return _say(error)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone: head, less
        return 0
    except OSError as error:
        return _say(UsageError(f"{error.filename or 'a local file'}: {error.strerror or error}"))
    return found if isinstance(found, int) else 0


def _interrupted(error: BaseException) -> int:
    # An Abort without a cause is one of ours: what is left behind was said.
    if not isinstance(error, click.Abort) or error.__cause__:
        click.echo("bumps-remote: interrupted", err=True)
    return _INTERRUPTED


def _say(error: RemoteError) -> int:
    lines = clean(error).splitlines() or [type(error).__name__]
    click.echo("\n".join(["bumps-remote: " + lines[0], *lines[1:]]), err=True)
    return error.exit_code


if __name__ == "__main__":
    main()
