"""The gateway: what people and programs talk to."""

__version__ = "0.1.0"
