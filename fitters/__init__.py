"""What runs on the compute node: the driver and the kinds of job."""
