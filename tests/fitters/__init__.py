"""The fitters, and the problems that they are tried on."""
