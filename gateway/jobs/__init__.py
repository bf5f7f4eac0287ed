"""Jobs: what was asked to run, whether it runs, and what came out."""
