"""Send stored files as what they are: a stranger's bytes, never a page of ours."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from flask import Response, request, send_file

from gateway.datasets.models import FileRef
from gateway.web.context import gateway
from gateway.web.headers import as_user_file

if TYPE_CHECKING:
    from gateway.datasets.service import Files


def send_ref(files: Files, ref: FileRef) -> Response:
    """Send a file as an attachment, with ranges (RFC 9110) and its digest (RFC 9530).

    Where the site says so, the proxy reads it from the disk, and cuts out what is asked for.
    """
    name = ref.path.rsplit("/", 1)[-1]
    place = _place_for_proxy(ref.digest)
    if place:
        response = Response(mimetype="application/octet-stream")
        response.headers["X-Accel-Redirect"] = place
        response.headers["Cache-Control"] = "no-cache"
    else:
        response = send_file(
            files.open(ref),
            mimetype="application/octet-stream",
            conditional=False,
            etag=False,
        )
        response.content_length = ref.size
    response.set_etag(ref.digest)
    as_user_file(response, name)
    response.headers["Repr-Digest"] = (
        f"sha-256=:{base64.b64encode(bytes.fromhex(ref.digest)).decode()}:"
    )
    if place:
        return response
    response.make_conditional(request.environ, accept_ranges=True, complete_length=ref.size)
    return response


def _place_for_proxy(digest: str) -> str:
    """Say where the proxy finds a content; empty when it cannot answer as we would.

    The address is made of the digest alone. A proxy that can do it says so, and overwrites what
    others say; it knows our ETag not, so what is asked by it is answered here.
    """
    location = gateway().settings.server.accel_redirect
    asked = request.headers
    if not location or asked.get("X-Sendfile-Type") != "X-Accel-Redirect":
        return ""
    if any(name in asked for name in ("If-Range", "If-Match", "If-None-Match")):
        return ""
    return f"{location}{digest[:2]}/{gateway().blobs.path(digest).name}"
