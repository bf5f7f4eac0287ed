"""FitProblems: curve form, bumps JSON or model script become one checked document.

Nothing here runs a user's code, imports numpy or bumps, or unpickles: expressions are parsed to an
allow-listed program, JSON is walked, scripts are parsed by a limited child process.
"""
