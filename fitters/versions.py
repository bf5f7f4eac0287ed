"""What was installed where the job ran."""

from __future__ import annotations

import platform
from functools import cache
from importlib import metadata

NAMES = ("bumps", "numpy", "scipy", "numba", "h5py", "refl1d", "sasmodels", "scikit-learn")


@cache
def versions() -> dict[str, str]:
    """Give the version of Python and of every library that a result may depend on."""
    found = {"python": platform.python_version()}
    for name in NAMES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
