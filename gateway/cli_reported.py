"""What can go wrong for an administrator's command, as one line."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click
import redis

from gateway.errors import GatewayError
from gateway.settings import SettingsError
from scheduler.base import SchedulerError


def reported(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn what can go wrong into one line and exit code 1."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (SettingsError, GatewayError, SchedulerError) as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(f"{where}{error.strerror or error}") from error
        except redis.RedisError as error:
            message = f"the store does not answer ({error}): is 'bumps-gateway run' up?"
            raise click.ClickException(message) from error

    return run
