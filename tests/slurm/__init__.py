"""A real Slurm for tests: all its daemons, private, on loopback ports."""
