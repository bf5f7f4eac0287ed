"""Numbers as Prometheus reads them: text format 0.0.4.

Few lines of our own: the values come from the store and are the same whichever process answers, so
the registry of the usual library, made for what one process counts, would stand idle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
Labels = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One name with its values."""

    name: str
    """By convention with its unit last, and ``_total`` for what only grows."""

    help: str
    kind: Literal["gauge", "counter"] = "gauge"
    samples: tuple[tuple[Labels, float], ...]


def one(name: str, help: str, value: float, kind: Literal["gauge", "counter"] = "gauge") -> Metric:
    """Make a metric of one value without labels."""
    return Metric(name=name, help=help, kind=kind, samples=(({}, value),))


def exposition(metrics: Iterable[Metric]) -> str:
    r"""Write metrics, each with its help and kind.

    >>> print(exposition([one("up", "Whether\nit is.", 1)]), end="")
    # HELP up Whether\nit is.
    # TYPE up gauge
    up 1
    >>> odd = Metric(name="n", help="", samples=(({"a": 'x"y'}, 0.5),))
    >>> print(exposition([odd]).splitlines()[-1])
    n{a="x\"y"} 0.5
    """
    lines = []
    for metric in metrics:
        words = metric.help.replace("\\", r"\\").replace("\n", r"\n")
        lines += [f"# HELP {metric.name} {words}", f"# TYPE {metric.name} {metric.kind}"]
        lines += [f"{metric.name}{_labels(labels)} {value}" for labels, value in metric.samples]
    return "".join(f"{line}\n" for line in lines)


def _labels(labels: Labels) -> str:
    pairs = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""
