"""Processes that are killed at every point, and a count of what became of the jobs."""
