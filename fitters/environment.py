"""The environment of a fit, set before any library is imported; what is set already stays."""

from __future__ import annotations

import os
from pathlib import Path


def prepare_environment(directory: Path) -> None:
    """Keep libraries to one thread and without a screen, and give them a cache they may write to.

    Parameters
    ----------
    directory
        The attempt's directory: the caches go there if the home directory cannot be written to.
    """
    cache = _cache_folder(directory)
    defaults = {
        "MPLBACKEND": "Agg",
        # Each evaluation is short, and the CPUs are used by evaluating side by side.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "NUMBA_NUM_THREADS": "1",
        # numba and sasmodels compile on first use, for seconds; the next job finds it done.
        "NUMBA_CACHE_DIR": str(cache / "numba"),
        "SAS_DLL_PATH": str(cache / "sasmodels"),
        "MPLCONFIGDIR": str(cache / "matplotlib"),
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    for name in ("NUMBA_CACHE_DIR", "SAS_DLL_PATH", "MPLCONFIGDIR"):
        if os.environ[name] == defaults[name]:
            Path(defaults[name]).mkdir(parents=True, exist_ok=True)


def _cache_folder(directory: Path) -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    wanted = Path(home) / "bumps-gateway"
    try:
        wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return directory / ".cache"
    return wanted if os.access(wanted, os.W_OK) else directory / ".cache"
