"""The environment of a compute node: refl1d and sasmodels, and nothing of ours."""

import json
import subprocess
from pathlib import Path

import pytest

from .job_folder import JobFolder, make_job

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-fit" / "bin" / "python"

pytestmark = [pytest.mark.compute, pytest.mark.timeout(300)]

NICKEL = """
import numpy as np
from bumps.names import FitProblem
from refl1d.names import SLD, Experiment, QProbe, air

nickel, silicon = SLD(name="Ni", rho=9.4), SLD(name="Si", rho=2.07)
sample = silicon(0, 5) | nickel(THICKNESS, 5) | air
q = np.linspace(0.005, 0.2, 120)
probe = QProbe(q, 0.02 * q, data=(np.ones_like(q), 0.05 * np.ones_like(q)))
model = Experiment(sample=sample, probe=probe)
np.random.seed(3)
model.simulate_data(noise=5.0)
sample[1].thickness.value = 95
sample[1].thickness.range(80, 120)
sample[1].interface.range(0, 15)
nickel.rho.range(8, 11)
problem = FitProblem(model)
"""

SPHERE = """
import numpy as np
from bumps.names import FitProblem
from sasmodels.bumps_model import Experiment, Model
from sasmodels.core import load_model
from sasmodels.data import empty_data1D

data = empty_data1D(np.logspace(-2.5, -0.5, 60), resolution=0.05)
kernel = load_model("sphere", dtype="double!")
model = Model(kernel, radius=60, sld=4, sld_solvent=1, scale=0.01, background=0.001)
experiment = Experiment(data=data, model=model)
np.random.seed(3)
experiment.simulate_data(noise=5.0)
model.radius.value = 55
model.radius.range(30, 90)
model.scale.range(0, 0.1)
problem = FitProblem(experiment)
"""


def run(job: JobFolder) -> None:
    done = subprocess.run(
        [PYTHON, "driver.pyz", "."], cwd=job.path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert job.result()["status"] == "done", job.result()["verdict"]


def values(job: JobFolder) -> dict[str, float]:
    return {p["label"]: p["value"] for p in job.result()["parameters"]}


def test_a_reflectivity_curve_is_fitted_and_shown_with_its_profile(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", NICKEL.replace("THICKNESS", "100"), fit="amoeba")
    run(job)
    assert values(job)["Ni thickness"] == pytest.approx(100, abs=1.5)
    assert job.result()["versions"]["refl1d"]
    (curve,) = job.read("out/curves.json")["models"]
    assert curve["kind"] == "reflectivity"
    assert len(curve["x"]) == len(curve["y"]) == len(curve["dy"]) == len(curve["theory"]) == 120
    assert curve["log_y"] is True
    assert max(curve["profile"]["series"]["rho"]) == pytest.approx(9.4, abs=0.4)
    assert len(curve["profile"]["x"]) == len(curve["profile"]["series"]["irho"])


def test_a_dream_of_a_reflectivity_curve_gives_the_same_chains_again(tmp_path: Path) -> None:
    model = NICKEL.replace("THICKNESS", "100")
    jobs = [
        make_job(tmp_path / str(index), model, fit="dream", options={"samples": 1500, "burn": 20})
        for index in range(2)
    ]
    for job in jobs:
        run(job)
    # refl1d brings numba, whose random numbers bumps does not seed.
    assert jobs[0].read("out/traces.json") == jobs[1].read("out/traces.json")
    (curve,) = jobs[0].read("out/curves.json")["models"]
    assert jobs[1].read("out/curves.json")["models"] == [curve]
    assert curve["bands"]["draws"] == 200
    band, rho = curve["profile"]["bands"]["rho"], curve["profile"]["series"]["rho"]
    inside = [
        low <= value <= high
        for low, value, high in zip(band["low_95"], rho, band["high_95"], strict=True)
    ]
    assert sum(inside) > 0.7 * len(rho)
    middle = curve["profile"]["x"].index(min(curve["profile"]["x"], key=lambda z: abs(z - 50)))
    assert 0.02 < band["high_68"][middle] - band["low_68"][middle] < 1


POLARISED = NICKEL.replace(
    "from refl1d.names import", "from refl1d.names import Magnetism, PolarizedQProbe,"
).replace("THICKNESS, 5)", "THICKNESS, 5, magnetism=Magnetism(rhoM=1.5))").replace(
    "model = Experiment",
    "down = QProbe(q[2:] + 1e-4, 0.02 * q[2:], data=(np.ones(118), 0.05 * np.ones(118)))\n"
    "probe = PolarizedQProbe([down, None, None, probe])\nmodel = Experiment",
)  # fmt: skip

THEIRS = """
import json
from bumps.fitproblem import load_problem
from refl1d.probe.probe import spin_asymmetry

(model,) = load_problem("model.py").models
mm, _, _, pp = model.probe.xs
bare = pp.fresnel(substrate=model._substrate, surface=model._surface)
_, fresnel = pp.apply_beam(pp.calc_Q, bare(pp.calc_Q))
_, asymmetry, error = spin_asymmetry(pp.Q, pp.R, pp.dR, mm.Q, mm.R, mm.dR)
found = {"asymmetry": asymmetry, "error": error, "fresnel": fresnel}
print(json.dumps({name: list(values) for name, values in found.items()}))
"""


def test_spin_asymmetry_and_the_bare_substrate_are_those_of_refl1d(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", POLARISED.replace("THICKNESS", "100"), run={"mode": "chisq"})
    run(job)
    models = job.read("out/curves.json")["models"]
    assert [one["label"].partition(" 1 ")[2] for one in models] == ["--", "++", "spin asymmetry"]
    done = subprocess.run(
        [PYTHON, "-c", THEIRS], cwd=job.data, capture_output=True, text=True, check=True
    )
    theirs = json.loads(done.stdout.splitlines()[-1])
    assert models[1]["fresnel"] == pytest.approx(theirs["fresnel"], rel=1e-9)
    assert models[2]["kind"] == "asymmetry"
    assert models[2]["y"] == pytest.approx(theirs["asymmetry"], rel=1e-9, abs=1e-12)
    assert models[2]["dy"] == pytest.approx(theirs["error"], rel=1e-9, abs=1e-12)


SEEDS = """
import sys
sys.path.insert(0, "../driver.pyz")
from gateway_driver import bumps_load
from numba import njit
import numpy as np

@njit
def draw():
    return np.random.rand(), np.random.randn(), np.random.randint(1 << 30)

def draws(seed_it, seed):
    seed_it(seed)
    return [draw() for _ in range(1000)]

@njit
def as_numba_documents_it(seed):
    np.random.seed(seed)

bumps_load._seed_numba_compiled = None
for seed in (0, 42, 2**32 - 1):
    quick = draws(bumps_load._seed_numba, seed)
    assert quick == draws(as_numba_documents_it, seed), seed
    assert quick != draws(bumps_load._seed_numba, seed ^ 1), seed
"""


def test_numba_draws_as_after_its_own_seeding(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job")
    command = [str(PYTHON), "-c", SEEDS]
    done = subprocess.run(command, cwd=job.data, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_campaign_of_reflectivity_curves_runs_on_two_cpus(tmp_path: Path) -> None:
    model = NICKEL.replace("THICKNESS", "float(open('thickness.dat').read())")
    rows = [{"thickness.dat": f"elements/{index}/thickness.dat"} for index in range(3)]
    files = {f"elements/{index}/thickness.dat": f"{98 + index}" for index in range(3)}
    job = make_job(
        tmp_path / "job",
        model,
        fit="lm",
        files={"thickness.dat": "0", **files},
        run={"cpus": 2},
        elements=[
            {"label": str(index), "files": row, "args": None, "start": []}
            for index, row in enumerate(rows)
        ],
        pack=3,
    )
    run(job)
    found = [
        {p["label"]: p["value"] for p in element["parameters"]}["Ni thickness"]
        for element in job.result()["elements"]
    ]
    assert found == [pytest.approx(98 + index, abs=1.5) for index in range(3)]


def test_a_json_problem_of_refl1d_is_fitted_like_its_script(tmp_path: Path) -> None:
    script = make_job(tmp_path / "script", NICKEL.replace("THICKNESS", "100"), fit="lm")
    run(script)
    code = (
        "import json\nfrom bumps.fitproblem import load_problem\n"
        "from bumps.serialize import serialize\n"
        "print(json.dumps(serialize(load_problem('model.py'))))"
    )
    done = subprocess.run(
        [PYTHON, "-c", code], cwd=script.data, capture_output=True, text=True, check=True
    )
    text = done.stdout.splitlines()[-1]
    assert json.loads(text)["libraries"]["refl1d"]
    job = make_job(
        tmp_path / "job",
        fit="lm",
        files={"problem.json": text},
        problem={"type": "json", "entry": "problem.json"},
    )
    run(job)
    assert values(job) == {
        label: pytest.approx(value, rel=1e-6) for label, value in values(script).items()
    }


def test_a_scattering_curve_is_fitted_and_shown(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", SPHERE, fit="lm")
    run(job)
    assert values(job)["radius"] == pytest.approx(60, abs=1)
    (curve,) = job.read("out/curves.json")["models"]
    assert curve["kind"] == "sas"
    assert (curve["log_x"], curve["log_y"]) == (True, True)
    assert len(curve["x"]) == len(curve["theory"]) == 60
    code = (
        "import sys\nfrom bumps.webview.server.state_hdf5_backed import State\n"
        "s = State()\ns.read_session_file(sys.argv[1])\nprint(s.problem.fitProblem.getp())"
    )
    done = subprocess.run(
        [PYTHON, "-c", code, job.out / "session.h5"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "None" not in done.stdout
