"""Tokens in the keyring of the computer, where it has one: ``pip install bumps-remote[keyring]``.

Without the library, without a keyring that locks, or with ``BUMPS_REMOTE_KEYRING=off`` tokens are
kept in the configuration, which its owner alone can read.
"""

from __future__ import annotations

import os

from bumps_remote.errors import AuthError

VARIABLE = "BUMPS_REMOTE_KEYRING"
_SERVICE = "bumps-remote"
_OFF = frozenset({"off", "no", "false", "0"})
_LOCKS = 1
"""Backends of a lower priority keep secrets in plain text, or nothing at all."""

try:
    import keyring
    from keyring.backend import KeyringBackend
    from keyring.errors import KeyringError
except ImportError:  # it is a choice of the user's
    keyring = None  # type: ignore[assignment]  # a module, or none


def put(profile: str, url: str, token: str) -> bool:
    """Keep a token; False when there is no keyring that would."""
    backend = _backend()
    if backend is None:
        return False
    try:
        backend.set_password(_SERVICE, _entry(profile, url), token)
    except (KeyringError, OSError, RuntimeError):
        return False  # locked, and nobody there to unlock it
    return True


def get(profile: str, url: str) -> str:
    """Read a token.

    Raises
    ------
    AuthError
        When the keyring does not give it.
    """
    backend, why = _backend(), "there is no keyring here now"
    if backend is not None:
        try:
            found = backend.get_password(_SERVICE, _entry(profile, url))
        except (KeyringError, OSError, RuntimeError) as error:
            why = str(error) or type(error).__name__
        else:
            if found:
                return found
            why = "it is not there"
    raise AuthError(
        f"the keyring does not give the token of {profile} ({why}): unlock it, or log in again "
        f"with {VARIABLE}=off"
    )


def drop(profile: str, url: str) -> None:
    """Forget a token; one that is not there is forgotten already."""
    backend = _backend()
    if backend is None:
        return
    try:
        backend.delete_password(_SERVICE, _entry(profile, url))
    except (KeyringError, OSError, RuntimeError):
        return


def _backend() -> KeyringBackend | None:
    if keyring is None or os.environ.get(VARIABLE, "").lower() in _OFF:
        return None
    try:
        backend = keyring.get_keyring()
        locks = backend.priority >= _LOCKS
    except (KeyringError, OSError, RuntimeError):
        return None
    return backend if locks else None


def _entry(profile: str, url: str) -> str:
    """Bind a token to its server: a changed configuration sends it nowhere else."""
    return f"{profile} {url}"
