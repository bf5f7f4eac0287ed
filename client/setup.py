"""Package the client that a scientist installs beside bumps."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

setup(
    name="bumps-remote",
    version="0.1.0",
    description="Run bumps fits on a cluster through a bumps-gateway",
    long_description=(HERE / "README.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    license="BSD-3-Clause",
    python_requires=">=3.10",
    packages=find_packages(include=["bumps_remote*"]),
    package_data={"bumps_remote": ["py.typed", "webview.html"]},
    install_requires=["click>=8.1", "httpx>=0.27", "rich>=13"],
    extras_require={"keyring": ["keyring>=24"]},
    entry_points={"console_scripts": ["bumps-remote = bumps_remote.cli:main"]},
)
