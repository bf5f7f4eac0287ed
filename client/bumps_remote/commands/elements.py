"""What makes several fits of one submission: data files, starts, a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bumps_remote.array import Element, choose_pack, make_elements
from bumps_remote.campaign import count_of, make_campaign, read_grid, read_starts
from bumps_remote.errors import UsageError
from bumps_remote.files import Bundle
from bumps_remote.show import notice
from bumps_remote.text import clean_line, size_text


def read_elements(
    files: Sequence[str] | None, bundle: Bundle, given: Mapping[str, Any], *, quiet: bool
) -> tuple[Element, ...]:
    """Read what makes an array."""
    if files is None:
        alone = ["replace"] if given["grid"] or given["from_starts"] else ["replace", "pack"]
        for name in alone:
            if given[name] is not None:
                raise UsageError(f"--{name} belongs to --array FILE...: say which files")
        return ()
    if given["grid"] or given["from_starts"]:
        raise UsageError(
            "--array, --grid and --from-starts each make the elements: give one of them"
        )
    if given["session"]:
        raise UsageError(
            "--session: each element of an array has a session of its own; they are fetched as "
            "out/0/session.h5 and so on"
        )
    if mode_of(given) != "fit":
        raise UsageError("--array is for fits: try --check or --chisq with the model alone")
    elements = make_elements(bundle, files, given["replace"])
    if not quiet:
        notice(_about(elements, choose_pack(len(elements), given["pack"])))
    return elements


def read_campaign(given: Mapping[str, Any], *, quiet: bool) -> dict[str, Any] | None:
    """Read starts and grid."""
    starts = None if given["from_starts"] is None else read_starts(given["from_starts"])
    campaign = make_campaign(read_grid(given["grid"]) if given["grid"] else None, starts)
    if campaign is None:
        return None
    if given["session"]:
        raise UsageError("--session: each fit of a campaign has a session of its own")
    if mode_of(given) != "fit":
        raise UsageError("--grid and --from-starts are for fits: try --check with the model alone")
    if not quiet:
        notice(f"{count_of(campaign)} fits in one job")
    return campaign


def mode_of(given: Mapping[str, Any]) -> str:
    """Say what is to be done with the model."""
    if given["chisq"] and given["check"]:
        raise UsageError("take either --chisq or --check, not both")
    if given["check"]:
        return "check"
    return "chisq" if given["chisq"] else "fit"


def _about(elements: Sequence[Element], pack: int) -> str:
    size = size_text(sum(element.file.size for element in elements))
    first, last = elements[0], elements[-1]
    span = first.label if first is last else f"{first.label} … {last.label}"
    packed = f", {pack} to a process" if pack > 1 else ", each in a process of its own"
    return (
        f"{len(elements)} elements ({span}; {size}), each in the place of "
        f"{clean_line(first.replaces, 80)}{packed}"
    )
