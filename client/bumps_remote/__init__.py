"""Run bumps fits on a cluster, through a bumps-gateway.

>>> from bumps_remote import fit, submit
>>> fit(problem, method="dream", samples=20000).chisq        # doctest: +SKIP
1.02
>>> job = submit("model.py", fit="dream", samples=20000)     # doctest: +SKIP
>>> job.result()["chisq"]                                    # doctest: +SKIP
1.02
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("bumps-remote")
except PackageNotFoundError:  # run from its folder, not installed
    __version__ = "0"

from bumps_remote.connection import Connection
from bumps_remote.errors import RemoteError
from bumps_remote.job import Job
from bumps_remote.shortcuts import fit, map, submit  # noqa: A004 - as executors have it

__all__ = ["Connection", "Job", "RemoteError", "__version__", "fit", "map", "submit"]
