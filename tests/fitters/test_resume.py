"""Going on: after a kill, after a stop, after the scheduler began a task again."""

import base64
import signal
from collections.abc import Mapping
from pathlib import Path

import h5py
import pytest

from tests.helpers import eventually

from .job_folder import JobFolder, make_job, slow_line

DREAM = {"samples": 3000, "burn": 20}
ENDLESS = {"samples": 10**6, "burn": 20}


def generations(job: JobFolder) -> int:
    with h5py.File(job.out / "session.h5", "r") as file:
        return int(file["fitting/fit_state/total_generations"][()])


def killed_job(path: Path, method: str, options: Mapping[str, float]) -> JobFolder:
    """A fit that was killed after its first checkpoint."""
    job = make_job(path, slow_line(0.001), fit=method, options=options, run={"checkpoint_s": 0.5})
    with job.started() as process:
        eventually(lambda: len(job.events_named("checkpoint")) > 1)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    assert not (job.path / "result.0.json").exists()
    return job


def test_a_killed_dream_goes_on_with_its_samples(tmp_path: Path) -> None:
    earlier = killed_job(tmp_path / "1", "dream", ENDLESS)
    drawn = generations(earlier)
    assert drawn > 10
    options = {"samples": (drawn + 200) * 20, "burn": 0}
    job = make_job(tmp_path / "2", fit="dream", options=options, run={"resume": True})
    job.resume_from(earlier)
    job.run()
    result = job.result()
    assert result["status"] == "done"
    assert generations(job) >= drawn + 190
    texts = [event["text"] for event in job.events_named("message")]
    assert f"Goes on from {drawn * 20} samples drawn before." in texts
    assert job.events_named("step")[0]["step"] > drawn


def test_a_stopped_de_goes_on_exactly_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    options = {"steps": 60, "xtol": 0, "ftol": 0}
    whole = make_job(tmp_path / "whole", fit="de", options=options)
    whole.run()
    first = make_job(tmp_path / "1", fit="de", options={**options, "steps": 25})
    first.run()
    second = make_job(
        tmp_path / "2", fit="de", options={**options, "steps": 35}, run={"resume": True}
    )
    second.resume_from(first)
    second.run()
    assert second.result()["steps"] == 60
    assert [p["value"] for p in second.result()["parameters"]] == [
        p["value"] for p in whole.result()["parameters"]
    ]


def test_a_killed_de_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    endless = {"steps": 10**6, "xtol": 0, "ftol": 0}
    earlier = killed_job(tmp_path / "1", "de", endless)
    job = make_job(tmp_path / "2", fit="de", options={"steps": 30}, run={"resume": True})
    job.resume_from(earlier)
    job.run()
    assert job.result()["status"] == "done"
    assert any("Goes on from step" in event["text"] for event in job.events_named("message"))
    assert job.events_named("step")[0]["step"] > 2


def test_a_task_that_the_scheduler_begins_again_goes_on(tmp_path: Path) -> None:
    job = killed_job(tmp_path / "1", "dream", DREAM | {"samples": 20000})
    drawn = generations(job)
    job.run()
    assert job.result()["status"] == "done"
    texts = [event["text"] for event in job.events_named("message")]
    assert any("Goes on from" in text for text in texts)
    assert generations(job) > drawn
    job.run()
    after = job.events()[[e["event"] for e in job.events()].index("end") + 1 :]
    assert not any("Goes on" in event.get("text", "") for event in after)


@pytest.mark.parametrize("method", ["lm", "amoeba", "newton", "auto"])
def test_a_method_that_cannot_go_on_is_never_replaced_by_another(
    tmp_path: Path, method: str
) -> None:
    job = make_job(tmp_path / "job", fit=method, run={"resume": True})
    job.run()
    result = job.result()
    assert (result["status"], result["verdict"]["code"]) == ("failed", "load_error")
    assert "only dream and de" in result["verdict"]["text"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fit": "de"}, "a fit with dream, not with de"),
        ({"options": {"pop": 5}}, "it has 20 chains, but pop makes 10"),
        ({"model": "model.b.fixed = True\n"}, "now the problem fits m"),
        ({"remove": "session.h5"}, "there is no session.h5"),
        ({"spoil": "session.h5"}, "cannot be read"),
    ],
)
def test_a_session_that_does_not_fit_is_refused_with_the_reason(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    earlier = make_job(tmp_path / "1", fit="dream", options={"samples": 400, "burn": 5})
    earlier.run()
    model = slow_line(0) + str(change.get("model", ""))
    model = model.replace("problem = FitProblem(model)\n", "") + "problem = FitProblem(model)\n"
    options = change.get("options", {})
    assert isinstance(options, dict)
    job = make_job(
        tmp_path / "2",
        model,
        fit=str(change.get("fit", "dream")),
        options=options,
        run={"resume": True},
    )
    job.resume_from(earlier)
    if "remove" in change:
        (job.path / "resume/session.h5").unlink()
    if "spoil" in change:
        (job.path / "resume/session.h5").write_bytes(b"no HDF5 at all")
    job.run()
    result = job.result()
    assert (result["status"], result["verdict"]["code"]) == ("failed", "load_error")
    assert words in result["verdict"]["text"]


def test_a_session_with_a_pickle_in_it_is_not_unpickled(tmp_path: Path) -> None:
    earlier = make_job(tmp_path / "1", fit="dream", options={"samples": 400, "burn": 5})
    earlier.run()
    canary = tmp_path / "canary"
    payload = f"cos\nmkdir\n(S'{canary}'\ntR.".encode()
    with h5py.File(earlier.out / "session.h5", "r+") as file:
        for group in (
            file["problem"],
            *(item["problem"] for item in file["problem_history"].values()),
        ):
            del group["serializer"], group["fitProblem"]
            group["serializer"] = ["pickle"]
            group["fitProblem"] = [base64.b64encode(payload).decode()]
    job = make_job(tmp_path / "2", fit="dream", options={"samples": 800}, run={"resume": True})
    job.resume_from(earlier)
    job.run()
    assert job.result()["status"] == "done"
    assert not canary.exists()
