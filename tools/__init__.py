"""Programs for those who work on the gateway; none of them is part of what is installed."""
