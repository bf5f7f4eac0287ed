"""How large a job is by its options: whatever asks for more processors or GPUs counts here."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Size:
    """The options that say how many tasks, processors and GPUs there are."""

    nodes: int | None = None
    ntasks: int | None = None
    ntasks_per_node: int | None = None
    cpus_per_task: int | None = None
    cpus_per_gpu: int | None = None
    gres: str | None = None
    gpus: str | None = None
    gpus_per_node: str | None = None
    gpus_per_task: str | None = None

    @property
    def tasks(self) -> int:
        """As sbatch counts: one a node, where nobody says otherwise."""
        return self.ntasks or (self.nodes or 1) * (self.ntasks_per_node or 1)

    @property
    def gpu_count(self) -> int:
        """How many GPUs it asks for, in whichever way; 0 without."""
        if self.gpus:
            return _last(self.gpus)
        if self.gpus_per_task:
            return _last(self.gpus_per_task) * self.tasks
        each = _last(self.gpus_per_node) if self.gpus_per_node else gpus_in(self.gres or "")
        return each * (self.nodes or 1)

    @property
    def cpus(self) -> int:
        """How many processors one job, or one task of an array, takes.

        >>> Size(ntasks=2, gpus="a100:3", cpus_per_gpu=4).cpus
        12
        """
        if self.cpus_per_gpu is None:
            return self.tasks * (self.cpus_per_task or 1)
        return max(self.tasks, self.cpus_per_gpu * self.gpu_count)


def gpus_in(gres: str) -> int:
    """Count the GPUs among generic resources.

    >>> gpus_in("gpu:a100:2,fpga"), gpus_in("gpu"), gpus_in("gpu:a100"), gpus_in("fpga:3")
    (2, 1, 1, 0)
    """
    items = [item for item in gres.split(",") if item.partition(":")[0] == "gpu"]
    return sum(_last(item) for item in items)


def _last(text: str) -> int:
    """Read a number that ends ``[type:]number``; without it there is one."""
    found = re.search(r"(?:^|:)([0-9]+)$", text)
    return int(found[1]) if found else 1
