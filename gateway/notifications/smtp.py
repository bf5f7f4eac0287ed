"""Hands one mail to the site's mail server."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from gateway.notifications.models import Delivery
from gateway.notifications.post import SendError
from gateway.notifications.settings import MailSettings
from gateway.records import now
from scheduler.deadlines import within

SUBJECT_CHARACTERS = 150


def send_mail(
    mail: EmailMessage, site: MailSettings, tls: ssl.SSLContext, deadline_s: float
) -> None:
    """Send a mail.

    Raises
    ------
    SendError
        When the server did not take it in time.
    """
    try:
        within(deadline_s, partial(_send, mail, site, tls, deadline_s), "mail")
    except TimeoutError as error:
        raise SendError(f"the mail server did not answer within {deadline_s:g} s") from error
    except smtplib.SMTPResponseException as error:
        raise SendError(f"the mail server said {error.smtp_code}") from error
    except smtplib.SMTPRecipientsRefused as error:
        raise SendError("the mail server does not take mail for this address") from error
    except (smtplib.SMTPException, OSError) as error:
        raise SendError("the mail server could not be reached, or not safely") from error


def make_mail(delivery: Delivery, subject: str, text: str, sender: str, url: str) -> EmailMessage:
    """Write a mail; its id is that of the event, the same in each attempt.

    Whatever stands in a subject stays in it: what could end the line is taken out, and the
    library refuses what is left of that kind.
    """
    mail = EmailMessage()
    plain = " ".join("".join(sign if sign.isprintable() else " " for sign in subject).split())
    mail["Subject"] = f"[bumps-gateway] {plain[:SUBJECT_CHARACTERS]}"
    mail["From"] = sender
    mail["To"] = delivery.address
    mail["Date"] = format_datetime(now())
    mail["Message-ID"] = f"<{delivery.event}@{urlsplit(url).hostname or 'localhost'}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text)
    return mail


def _send(mail: EmailMessage, site: MailSettings, tls: ssl.SSLContext, deadline_s: float) -> None:
    with _server(site, tls, deadline_s) as server:
        if site.tls == "starttls":
            server.starttls(context=tls)
        if site.user:
            password = Path(site.password_file).read_text(encoding="utf-8").strip()
            server.login(site.user, password)
        server.send_message(mail)


def _server(site: MailSettings, tls: ssl.SSLContext, deadline_s: float) -> smtplib.SMTP:
    if site.tls == "tls":
        return smtplib.SMTP_SSL(site.host, site.port, timeout=deadline_s, context=tls)
    return smtplib.SMTP(site.host, site.port, timeout=deadline_s)
