"""Jobs that people submit by hand: their directories are made here, and taken under watch."""
