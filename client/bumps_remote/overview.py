"""The list of commands, by what one wants to do, each in words that fit a line of 80 columns."""

from __future__ import annotations

from collections.abc import Mapping

import click

SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Sign in": {
        "login": "Sign in to the server at URL, by browser, letters or token",
        "logout": "Revoke the token on the server and forget it here",
        "profiles": "List the servers that you are logged in to",
    },
    "Submit": {
        "run": "Fit MODEL as bumps does, but there: submit, wait, fetch",
        "submit": "Submit MODEL (.py, or bumps .json) with the files it needs",
        "forecast": "Say how long MODEL would take, and when it could start",
        "journal": "Show requests that got no answer, or go on with them",
    },
    "Look": {
        "list": "List your jobs, newest first",
        "watch": "Watch the job ID live: chi-square, parameters, log",
        "status": "Say how the job ID is",
        "info": "Show everything about the job ID, or about the server",
        "wait": "Wait until the job ID has ended",
        "logs": "Print the log of the job ID",
        "script": "Print the batch script of the job ID",
        "clusters": "List where jobs can run, with what each gives to one job",
    },
    "Results": {
        "results": "Show parameters and chi-square of the job ID",
        "compare": "Lay 2 to 10 results side by side",
        "fetch": "Fetch the files of the job ID, each checked",
        "open": "Fetch the session of the job ID and open it in your bumps",
    },
    "Change": {
        "stop": "Ask running fits to stop early and keep their results",
        "cancel": "Ask for the end of jobs; their results do not matter",
        "resume": "Continue a dream or de fit that has ended",
        "rerun": "Run a job once more there, or a fetched bundle here",
        "instead": "Replace the job ID, which can never start, by one that can",
        "copy": "Make a job of your own of the job ID, also of a shared one",
        "tags": "Look after the tags of your jobs",
        "delete": "Forget jobs that have ended, with their results",
    },
    "Share": {
        "share": "Let others read the job ID, or say who may, or end it",
        "shared": "List the jobs that others share with you, or open a link",
    },
    "This terminal": {"completion": "Make the Tab key complete commands, options and jobs"},
}


def write_sections(formatter: click.HelpFormatter) -> None:
    """Write the commands, section by section."""
    longest = max(len(name) for commands in SECTIONS.values() for name in commands)
    for title, commands in SECTIONS.items():
        with formatter.section(title):
            formatter.write_dl([(name.ljust(longest), words) for name, words in commands.items()])
