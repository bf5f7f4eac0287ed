"""What administrators see of all users' work, and the switches that only they have."""
