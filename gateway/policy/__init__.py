"""What a site allows: groups, limits and proposals, all in one file."""
