"""What the page of the form shows, gathered for its template."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from fitters.base import Option
from fitters.bumps_options import METHODS
from gateway.accounts.models import Identity
from gateway.clusters.settings import ClusterSettings
from gateway.clusters.shared import shared_account_note
from gateway.errors import GatewayError, InvalidError, NotFoundError
from gateway.jobs.declared import declared_resources
from gateway.jobs.dependencies import KINDS as ENDINGS
from gateway.jobs.dependencies import SINGLETON
from gateway.jobs.entitled import span
from gateway.jobs.kinds import find_kind, kinds
from gateway.jobs.neighbours import offered
from gateway.jobs.resources import parse_time
from gateway.jobs.service import Preview
from gateway.policy.told import told
from gateway.problems import library
from gateway.problems.form_errors import by_field, of_typed
from gateway.problems.form_expert import expert_choices
from gateway.problems.form_filling import RECOMMENDED, FormValues, option_text
from gateway.problems.form_look import Look
from gateway.problems.form_reading import UploadedFile, Values, read_files
from gateway.records import Document, now
from gateway.services import Gateway

_PROBLEMS = 200
_MORE = ("r.partition", "r.account", "r.qos", "r.nodes", "r.ntasks", "r.ntasks_per_node",
         "r.mem_per_cpu", "r.gres", "r.gpus", "r.gpus_per_node", "r.gpus_per_task",
         "r.cpus_per_gpu", "r.mem_per_gpu", "r.constraint", "r.reservation", "r.licenses",
         "r.wckey", "r.nice", "r.mail_type", "r.mail_user", "r.exclusive", "r.mpi",
         "after")  # fmt: skip


@dataclass(kw_only=True)
class FormPage:
    """One rendering of the form."""

    values: FormValues
    look: Look | None = None
    script: Preview | None = None
    script_name: str = ""
    """Hash of what the form said when the script was shown."""

    errors: list[Any] = field(default_factory=list)
    alert: str = ""
    live: bool = False
    """Only parts of it replace those of a page, while somebody types."""

    lenient: bool = False
    """Nobody has sent it yet: what is not typed is not wrong."""

    guessed: bool = False

    def add(self, error: GatewayError) -> None:
        """Say what is wrong: at its field, where it has one."""
        if isinstance(error, InvalidError):
            self.errors.extend(error.errors)
        else:
            self.alert = f"{error}."

    def said(self) -> dict[str, list[str]]:
        """Sort what is wrong by the fields of the form."""
        typed = self.look.typed_rows if self.look else ()
        found = by_field(self.errors, self.values, typed)
        return of_typed(found, self.values) if self.lenient else found

    def context(self, services: Gateway, who: Identity) -> Document:
        """Gather everything that the template reads."""
        values = self.values
        kind = values.get("kind") or "fit"
        return {
            "v": values,
            "look": self.look,
            "live": self.live,
            "lenient": self.lenient,
            "alert": self.alert,
            "errors": self.said(),
            "hints": by_field(self.script.notes, values) if self.script else {},
            "tab": values.get("tab", "curve"),
            "key": values.get("key") or secrets.token_hex(16),
            "is_fit": kind == "fit",
            "script": _script(self.script),
            **self._stamps(),
            **_problem_choices(services, who, values),
            **_fit_choices(kind),
            **_places(services, who, values),
            "rows": self.look.rows if self.look else (),
            "units": _units(values),
        }

    def _stamps(self) -> dict[str, str]:
        """Name what each part says now: a script in the browser replaces what has changed."""
        look = self.look or Look(values=self.values)
        names = [row.name for row in look.rows]
        guess = secrets.token_hex(4) if self.guessed else ""
        return {
            "stamp": _stamp([self.alert, sorted(self.said().items()), self.live]),
            "column_stamp": _stamp(look.table["names"] if look.table else None),
            "curve_stamp": _stamp(look.curve),
            "table_stamp": _stamp(look.table),
            "row_stamp": _stamp([names, guess]),
            "earliest_stamp": _stamp([self.script.outlook.earliest]) if self.script else "",
            "script_stamp": self.script_name if self.script else _stamp([bool(self.said())]),
        }


def _script(preview: Preview | None) -> Document | None:
    if preview is None:
        return None
    return {
        "draft": preview.draft,
        "warnings": preview.warnings,
        "tasks": preview.tasks,
        "forecast": preview.outlook.forecast,
        "accuracy": preview.outlook.accuracy,
        "earliest": preview.outlook.earliest,
        "script": preview.plan.script,
        "difference": preview.difference.splitlines(),
        "sha256": hashlib.sha256(preview.plan.script.encode()).hexdigest(),
    }


def _problem_choices(services: Gateway, who: Identity, values: FormValues) -> Document:
    own, _ = services.problems.find(who, "", _PROBLEMS, None)
    return {
        "problems": own,
        "base_name": _name_of(services, who, values),
        "script_files": _sorted(read_files(values)),
        "functions": library.FUNCTIONS,
        "groups": [
            (group, list(items))
            for group, items in groupby(library.FUNCTIONS.values(), lambda item: item.group)
        ],
        "most_peaks": library.PEAK_LIMIT,
        "shapes": twice(library.SHAPES),
        "backgrounds": twice(library.BACKGROUNDS),
    }


def _name_of(services: Gateway, who: Identity, values: Values) -> str:
    if not values.get("base"):
        return ""
    try:
        return services.problems.get(who, values["base"]).problem.name
    except NotFoundError:
        return ""


def _sorted(files: Sequence[UploadedFile]) -> list[UploadedFile]:
    return sorted(files, key=lambda file: (not file.name.endswith(".py"), file.name))


def _fit_choices(kind: str) -> Document:
    other = None if kind == "fit" else find_kind(kind)
    return {
        "methods": {name: method for name, method in METHODS.items() if not method.hidden},
        "recommended": RECOMMENDED,
        "kind_title": other.title if other else "",
        "kind_options": other.options if other else (),
    }


def _places(services: Gateway, who: Identity, values: Values) -> Document:
    clusters = services.settings.clusters
    chosen = values.get("cluster", "")
    known = chosen if chosen in clusters else services.settings.default_cluster
    needs = clusters[known].is_per_user
    return {
        "account_missing": needs and services.cluster_accounts.find(known, who.user) is None,
        "clusters": [(name, cluster.title or name) for name, cluster in clusters.items()],
        "cluster": clusters[known],
        "usual_time": _usual_time(values.get("kind", ""), clusters[known]),
        "partitions": _partitions(services, known),
        "account_note": shared_account_note(clusters[known]),
        "before": offered(services.job_store, who.user),
        "endings": [
            *((kind, f"each {words}") for kind, words in ENDINGS.items()),
            (SINGLETON, "all older ones of its title have ended"),
        ],
        "drain_note": services.drains.why(known),
        "still": [
            text for one in services.policies.standing(who.user) if (text := told(one, now()))
        ],
        **expert_choices(values, services.policies.additions(who.user)),
        **_proposals(services, who, known, values.get("proposal", "")),
        "more_open": any(values.get(name) for name in _MORE),
    }


def _usual_time(kind: str, cluster: ClusterSettings) -> str:
    """Say how long a job may run that asks for no time: as its kind declares, or as the site."""
    try:
        declared = declared_resources(kind).time if kind in kinds() else None
    except InvalidError:  # said when such a job is asked for
        declared = None
    if declared is None:
        return cluster.default_time
    return span(min(declared, parse_time(cluster.max_time)))


def _partitions(services: Gateway, cluster: str) -> Document:
    """Say what a job may ask for there, as the cluster was last found."""
    survey = services.surveys.known(cluster)
    found = survey.found.partitions if survey.found and survey.probed else ()
    return {"items": found, "seen": survey.probed, "stamp": _stamp([cluster, found])}


def _proposals(services: Gateway, who: Identity, cluster: str, chosen: str) -> Document:
    """Offer what can be chosen today on a cluster, and say what comes later."""
    today, own = now().date(), services.policies.proposals_of(who.user)
    here = {name: one for name, one in own.items() if not one.clusters or cluster in one.clusters}
    choices = [
        (name, f"{name}, until {one.last}{': ' if one.title else ''}{one.title}")
        for name, one in here.items()
        if one.is_open(today)
    ]
    if chosen and chosen not in dict(choices):  # what was chosen before is not silently lost
        choices.append((chosen, f"{chosen} (not now, or not on this cluster)"))
    later = [f"{name} from {one.first}" for name, one in here.items() if today < one.first]
    return {
        "proposals": [("", "None"), *choices] if choices else [],
        "later_proposals": ", ".join(later),
    }


def _units(values: Values) -> dict[str, str]:
    """Say what a parameter of a library function is."""
    if values.get("formula") != "library" or values.get("function") not in library.FUNCTIONS:
        return {}
    items = library.FUNCTIONS[values["function"]].parameters
    return {item.name: f"{item.label} ({item.unit})" if item.unit else item.label for item in items}


def _stamp(said: object) -> str:
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


def twice(words: Iterable[str]) -> list[tuple[str, str]]:
    """Offer words as they are."""
    return [(word, word) for word in words]


def column_names(names: Sequence[str]) -> list[tuple[str, str]]:
    """Offer columns by number and name, counted from 1 as people do."""
    return [
        (str(index), name if name.startswith("column ") else f"{index + 1}: {name}")
        for index, name in enumerate(names)
    ]


def default_text(option: Option) -> str:
    """Write a default as the help of a setting says it."""
    return option_text(option) or "empty"
