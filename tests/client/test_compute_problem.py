"""Problems of refl1d in memory: an ordinary one goes, one that JSON would change does not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-fit" / "bin" / "python"

pytestmark = [pytest.mark.compute, pytest.mark.timeout(120)]

PROBLEMS = """
import sys, types
package = types.ModuleType("bumps_remote")  # its own needs are not in that environment
package.__path__ = [sys.argv[1]]
sys.modules["bumps_remote"] = package
import numpy as np
from bumps.names import FitProblem
from bumps_remote.errors import UsageError
from bumps_remote.live import checked_texts, python_of
from refl1d.names import SLD, Experiment, QProbe
from refl1d.sample.polymer import PolymerBrush

silicon, water = SLD("Si", 2.07), SLD("D2O", 6.3)

def problem(sample):
    q = np.linspace(0.005, 0.2, 60)
    probe = QProbe(q, 0.02 * q, R=np.ones_like(q), dR=0.05 * np.ones_like(q))
    model = Experiment(sample=sample, probe=probe)
    model.simulate_data(noise=5.0)
    return FitProblem(model)

slab = silicon(0, 5) | SLD("Ni", 9.4)(100, 5) | water
slab[1].thickness.range(80, 120)
(text,) = checked_texts([problem(slab)])
assert python_of(text) is None

brush = PolymerBrush(polymer=SLD("p", 1.0), solvent=water, thickness=200, base_vf=70, base=40,
                     length=60, power=2, sigma=10)
brush.base_vf.range(50, 90)
water.rho.range(5, 6.4)
try:
    checked_texts([problem(silicon(0, 5) | brush | water)])
except UsageError as error:
    assert "2 fitted parameters become 3" in str(error), error
    assert "Send the script" in str(error), error
else:
    raise AssertionError("it was taken")
"""


def test_a_slab_goes_and_a_brush_whose_parameters_would_be_doubled_does_not(
    tmp_path: Path,
) -> None:
    client = ROOT / "client" / "bumps_remote"
    command = [str(PYTHON), "-c", PROBLEMS, str(client)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
