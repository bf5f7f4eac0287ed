"""Which options of a request need one another, or say two different things together."""

from __future__ import annotations

from gateway.errors import FieldError
from scheduler.sizes import Size


def together_errors(asked: Size, mem_per_gpu: int | None) -> list[FieldError]:
    """Say which options lack what they are counted with, or disagree."""
    errors = {**_of_tasks(asked), **_of_gpus(asked, mem_per_gpu)}
    return [FieldError(pointer=f"/resources/{name}", detail=text) for name, text in errors.items()]


def _of_tasks(asked: Size) -> dict[str, str]:
    each, nodes, tasks = asked.ntasks_per_node, asked.nodes, asked.ntasks
    if each is None:
        return {}
    if nodes is None:
        return {"ntasks_per_node": f"{each} tasks of how many nodes? Give nodes as well, such as 1"}
    if tasks is None or tasks == nodes * each:
        return {}
    product = f"{nodes} nodes with {each} tasks each make {nodes * each}"
    return {"ntasks_per_node": f"{product}, and ntasks says {tasks}: leave ntasks out, or mend one"}


def _of_gpus(asked: Size, mem_per_gpu: int | None) -> dict[str, str]:
    errors = {}
    per_node = asked.gpus_per_node or asked.gres
    for name, each in (("cpus_per_gpu", asked.cpus_per_gpu), ("mem_per_gpu", mem_per_gpu)):
        if each is None:
            continue
        if not asked.gpu_count:
            errors[name] = f"{name} counts nothing without GPUs: ask for some, such as gpus = 1"
        elif per_node and asked.nodes is None and asked.tasks > 1:
            errors[name] = "nobody can tell on how many nodes the GPUs are: give nodes as well"
    if asked.gpus_per_task and not (asked.ntasks or asked.ntasks_per_node):
        text = f"{asked.gpus_per_task} for each of how many tasks? Give ntasks as well, such as 1"
        errors["gpus_per_task"] = text
    return errors
