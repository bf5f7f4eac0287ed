"""The commands of ``bumps-remote``, by what they are about."""
