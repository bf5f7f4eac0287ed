"""The sites that run jobs, and the kinds of job they can run."""
