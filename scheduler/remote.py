"""The command that starts a program behind a login shell: the only place with quoting.

The account's login shell, whichever it is, sees single-quoted words of plain characters and starts
``/bin/sh``. That prints a random token, so that whatever start-up files printed before is known for
noise, waits for our word, and becomes the program. Until that word is sent nothing was started.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from scheduler.base import SchedulerError

GO = b"go\n"
"""The word that the command waits for."""

_PLAIN = re.compile(r"[A-Za-z0-9_./:,+@=-]")
_LIMIT_BYTES = 100_000
# Linux takes 128 KiB as one argument, and the login shell gets all this as one.


def remote_command(argv: Sequence[str], token: str) -> str:
    r"""Write a command that starts exactly this program under any login shell.

    >>> print(remote_command(["/bin/echo", "it's", "-n"], "abcd"))  # doctest: +ELLIPSIS
    exec /bin/sh -c 'printf %s%s ab cd; ...; exec "$@"' sh '/bin/echo' 'it\0047s' '-n'

    Raises
    ------
    SchedulerError
        If that is longer than a shell would take.
    """
    half = len(token) // 2
    # In two halves: a login shell that shows its commands must not show the token. The full stop
    # keeps line ends at the end of a word, which $(...) takes away.
    script = (
        f"printf %s%s {token[:half]} {token[half:]}; "
        'read -r go && [ "$go" = go ] || exit 125; '
        'for a do shift; a=$(printf %b "$a"; echo .); set -- "$@" "${a%.}"; done; exec "$@"'
    )
    words = " ".join(f"'{_encoded(word)}'" for word in argv)
    command = f"exec /bin/sh -c '{script}' sh {words}"
    if len(command) > _LIMIT_BYTES:
        raise SchedulerError(
            f"{argv[0]}: its arguments come to {len(command)} bytes, more than {_LIMIT_BYTES}; "
            "send what is long to its standard input"
        )
    return command


def _encoded(word: str) -> str:
    """Write all that any shell may take for its own as octal numbers, which printf %b reads."""
    text = os.fsencode(word).decode("latin-1")
    return "".join(one if _PLAIN.match(one) else f"\\0{ord(one):03o}" for one in text)
