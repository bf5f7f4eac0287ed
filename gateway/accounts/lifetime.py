"""How long an API token may live: what is asked for, against what a site allows."""

from __future__ import annotations

from gateway.errors import InvalidError

USUAL = 0
"""What stands for no wish at all; nobody can ask for it."""

_USUAL_DAYS = 90


def token_days(asked: int | None, most: int) -> int | None:
    """Say for how many days a token is made; None: for ever.

    Parameters
    ----------
    asked
        None: for ever.
    most
        What the site allows; 0: anything.

    Raises
    ------
    InvalidError
        For more than that: a shorter one in its place would end unexpectedly.

    >>> token_days(USUAL, 0), token_days(USUAL, 30), token_days(None, 0), token_days(7, 30)
    (90, 30, None, 7)
    """
    if asked == USUAL:
        return min(_USUAL_DAYS, most or _USUAL_DAYS)
    if most and (asked is None or asked > most):
        wish = "for ever" if asked is None else f"{asked} days"
        detail = f"{wish} is too long: a token of this site lives {most} days at most"
        raise InvalidError.at("/expires_days", f"{detail}, so ask for up to {most} (--days {most})")
    return asked
