"""Send stored files as what they are: a stranger's bytes, never a page of ours."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from flask import Response, request, send_file

from gateway.datasets.models import FileRef
from gateway.web.headers import as_user_file

if TYPE_CHECKING:
    from gateway.datasets.service import Files


def send_ref(files: Files, ref: FileRef) -> Response:
    """Send a file as an attachment, with ranges (RFC 9110) and its digest (RFC 9530)."""
    name = ref.path.rsplit("/", 1)[-1]
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
    response.make_conditional(request.environ, accept_ranges=True, complete_length=ref.size)
    return response
