"""Sharing: who else may read a thing of somebody, for jobs and for whatever else has an owner."""
