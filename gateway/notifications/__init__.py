"""The room of notifications: each end of a job is told to its owner, once."""
