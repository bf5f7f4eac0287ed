"""A gateway whose parts can be killed one by one, and come back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.database import EmbeddedServer
from gateway.services import Gateway, open_gateway
from gateway.settings import SettingsError, load_settings
from scheduler.processes import children
from tests.faults.sites import Site, SiteMaker, local_site
from tests.helpers import eventually, free_port
from tests.live import Api, LiveGateway, end_executors

_FAST = {
    "GATEWAY_WORKER__TICK_S": "0.1",
    "GATEWAY_WORKER__IDLE_TICK_S": "0.2",
    "GATEWAY_WORKER__MAX_TRIES": "50",  # so many calls are cut short that three would be too few
    "GATEWAY_WORKER__SUBMIT_AT_ONCE": "2",  # so that each round has several calls
    "GATEWAY_LIMITS__QUEUED_PER_USER": "100000",
}


class Rig:
    """Store, web server and worker; each is started again when it ends."""

    def __init__(self, folder: Path, site: Site, **overrides: str) -> None:
        self.folder = folder
        self.site = site
        port = free_port()
        own = {k: v for k, v in os.environ.items() if not k.startswith("GATEWAY_")}
        own |= {**_FAST, **site.environment, **overrides}
        own |= {"GATEWAY_STATE": str(folder / "state"), "GATEWAY_SERVER__PORT": str(port)}
        self.live = LiveGateway(state=folder / "state", port=port, environment=own)
        self.live.command("init")
        self.settings = load_settings(own)
        self.server = EmbeddedServer(self.settings)
        self.gateway: Gateway = open_gateway(self.settings)
        self._crashes = folder / "crashes"
        self._crashes.touch()
        # A login node's account writes its ends down, too.
        self._crashes.chmod(0o666)
        folder.chmod(0o711)
        self._nursery: subprocess.Popen[bytes] | None = None
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._keep_store, daemon=True)

    def start(self) -> None:
        """Start all parts, and wait until they answer."""
        self.plan({})
        if not self._keeper.is_alive():
            self._keeper.start()
        with (self.folder / "gateway.log").open("ab") as log:
            self._nursery = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.nursery", str(self.folder)],
                env=self.live.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(self.live.ready, what=f"the gateway to be ready\n{self.live.log}")

    def stop(self) -> None:
        """End everything that was started here."""
        self._over.set()
        if self._nursery is not None:
            self._nursery.terminate()
            self._nursery.wait(timeout=30)
        if self._keeper.is_alive():
            self._keeper.join(timeout=30)
        for client in self.live.clients:
            client.close()
        self.gateway.redis.close()
        self.server.stop()
        end_executors(self.live.state)

    def user(self) -> Api:
        """Make a user who may submit."""
        return self.live.user()

    def _keep_store(self) -> None:
        while not self._over.wait(0.05):
            if self.server.ended():
                with suppress(SettingsError):  # killed while it started: once more
                    self.server.restart()

    # ---- crash points

    def plan(self, chances: Mapping[str, Mapping[str, float]]) -> None:
        """Say where parts crash from their next start on."""
        document = {
            part: ",".join(f"{name}:{chance}" for name, chance in points.items())
            for part, points in chances.items()
        }
        unfinished = self.folder / "plan.part"
        unfinished.write_text(json.dumps(document), encoding="utf-8")
        unfinished.replace(self.folder / "plan.json")

    def renew(self) -> None:
        """Start the parts again, so that the plan counts for all of them."""
        for victim in ("gunicorn", "worker", *self.site.renewed):
            self.kill(victim)

    def hits(self) -> Counter[str]:
        """Count the ends at each point."""
        lines = self._crashes.read_text(encoding="utf-8").splitlines()
        return Counter(line.partition(" ")[0] for line in lines)

    # ---- killing

    def pids(self, victim: str) -> list[int]:
        """Find the processes of a part; none when it does not run now."""
        if victim in self.site.victims:
            return list(self.site.victims[victim](self.live.state))
        return _FINDERS[victim](self)

    @property
    def victims(self) -> tuple[str, ...]:
        """All that can be hit here."""
        return (*_FINDERS, *self.site.victims, *self.site.blows)

    def hit(self, victim: str) -> bool:
        """Do to a part what is done to it here; False when that is not possible now."""
        blow = self.site.blows.get(victim)
        return blow() if blow else self.kill(victim)

    def kill(self, victim: str) -> bool:
        """Send KILL to one process of a part; False when it does not run now."""
        for pid in self.pids(victim)[:1]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                return True
        return False

    def pid_of(self, part: str) -> list[int]:
        """Read which process is a part now."""
        try:
            return [int((self.folder / f"pid.{part}").read_text(encoding="ascii"))]
        except FileNotFoundError:
            return []

    def children_of(self, part: str) -> list[int]:
        """Find the children of a part."""
        return [child for pid in self.pid_of(part) for child in children(pid)]


_FINDERS: dict[str, Callable[[Rig], list[int]]] = {
    "web": lambda rig: rig.children_of("web"),
    "gunicorn": lambda rig: rig.pid_of("web"),
    "worker": lambda rig: rig.pid_of("worker"),
    "queue": lambda rig: rig.children_of("worker"),
    "redis": lambda rig: [rig.server.pid] if rig.server.pid else [],
}


@contextmanager
def running_rig(make_site: SiteMaker = local_site, **overrides: str) -> Iterator[Rig]:
    """Run a gateway in a directory of its own, and leave nothing behind."""
    with make_site() as site, tempfile.TemporaryDirectory(prefix="bgw-") as folder:
        rig = Rig(Path(folder), site, **overrides)
        try:
            rig.start()
            yield rig
        finally:
            rig.stop()
