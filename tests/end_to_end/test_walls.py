"""Local execution does not mix users silently."""

from __future__ import annotations

import uuid

from tests.live import Api, live_gateway


def test_jobs_of_a_second_user_need_a_sandbox_or_a_word_of_trust() -> None:
    with live_gateway(GATEWAY_CLUSTERS__LOCAL__TRUSTED_USERS="false") as alone:
        alone.command("user", "off", "scientist")
        api = alone.user()

        answer = api.http.post(
            "/jobs", json={"kind": "dummy"}, headers={"Idempotency-Key": uuid.uuid4().hex}
        )

        assert answer.status_code == 409
        assert "sandbox" in answer.json()["detail"]
        assert api.http.get("/jobs").json()["total"] == 0


def test_a_walled_job_reaches_neither_the_store_nor_the_secret() -> None:
    model = """
import pathlib, socket
import numpy as np
from bumps.names import *

seen = []
for path in {paths!r}:
    try:
        pathlib.Path(path).read_bytes()
        seen.append(path)
    except OSError:
        pass
try:
    socket.socket(socket.AF_UNIX).connect({socket!r})
    seen.append("store")
except OSError:
    pass
if seen:
    raise SystemExit("REACHED " + " ".join(seen))
x = np.arange(5.0)
M = Curve(lambda x, a=1.0: a * x, x, 2 * x, dy=np.ones(5))
M.a.range(0, 5)
problem = FitProblem(M)
"""
    with live_gateway(GATEWAY_CLUSTERS__LOCAL__SANDBOX="bwrap") as walled:
        api: Api = walled.user()
        text = model.format(
            paths=[str(walled.state / "secret.key")],
            socket=str(walled.state / "store" / "redis.sock"),
        )
        job = api.submit(problem={"id": api.script_problem(text)["id"]}, options={"fit": "lm"})

        ended = api.wait(job["id"])

        assert ended["state"] == "COMPLETED", api.http.get(f"/jobs/{job['id']}/results").text
