"""Days, weeks and months in UTC, in which core-hours may be used."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, time, timedelta

WINDOWS = ("day", "week", "month")


def begin(window: str, moment: datetime) -> date:
    """Say on which day the window began that a moment is in.

    >>> begin("week", datetime(2026, 11, 22, 23, 59, tzinfo=UTC))  # a Sunday
    datetime.date(2026, 11, 16)
    """
    day = moment.astimezone(UTC).date()
    if window == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if window == "month" else day


def end(window: str, moment: datetime) -> datetime:
    """Say when the next window begins.

    >>> end("month", datetime(2026, 12, 3, tzinfo=UTC)).isoformat()
    '2027-01-01T00:00:00+00:00'
    """
    first = begin(window, moment)
    length = {"day": 1, "week": 7, "month": calendar.monthrange(first.year, first.month)[1]}
    return midnight(first + timedelta(days=length[window]))


def days(window: str, moment: datetime) -> list[date]:
    """List the days of a window until a moment."""
    first, today = begin(window, moment), moment.astimezone(UTC).date()
    return [first + timedelta(days=count) for count in range((today - first).days + 1)]


def midnight(day: date) -> datetime:
    """Say when a day begins."""
    return datetime.combine(day, time(), UTC)


def in_words(instant: datetime) -> str:
    """Say an instant as people do.

    >>> in_words(datetime(2026, 11, 23, tzinfo=UTC))
    'Monday 23 November, 00:00 UTC'
    """
    utc = instant.astimezone(UTC)
    day = f"{calendar.day_name[utc.weekday()]} {utc.day} {calendar.month_name[utc.month]}"
    return f"{day}, {utc:%H:%M} UTC"
