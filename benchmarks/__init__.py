"""What the README states, measured on the computer at hand."""
