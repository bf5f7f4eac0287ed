"""What a site says of messages to the outside, as its file says it."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network


@dataclass(frozen=True, kw_only=True)
class NotificationSettings:
    """Where and how long users may have things sent."""

    webhooks: int
    ports: tuple[int, ...]
    networks: tuple[str, ...]
    ca_file: str
    deadline_s: float
    retry_s: float
    give_up_s: float

    def __post_init__(self) -> None:
        """Refuse a network that is none."""
        for network in self.networks:
            ip_network(network)


@dataclass(frozen=True, kw_only=True)
class MailSettings:
    """Who sends the site's mail."""

    host: str
    port: int
    tls: str
    sender: str
    user: str
    password_file: str

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.tls not in {"starttls", "tls", "none"}:
            raise ValueError(f"tls = {self.tls!r}: choose starttls, tls or none")
        if self.host and "@" not in self.sender:
            raise ValueError("sender is missing: the address that mail comes from")
        if self.user and not self.password_file:
            raise ValueError("password_file is missing: mail.user needs one")
        if self.user and self.tls == "none":
            raise ValueError("tls = 'none' would show the password of mail.user to the network")
