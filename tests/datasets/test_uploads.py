"""A file that comes in pieces is the same file, wherever its line was cut."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import redis as redis_client

from gateway.accounts.models import Identity
from gateway.datasets.blobs import Blob, BlobStore
from gateway.datasets.models import FileRef
from gateway.datasets.service import Files
from gateway.datasets.store import DatasetStore
from gateway.datasets.uploads import MOST_AT_ONCE, REST_S, Uploads
from gateway.errors import (
    BadRequestError,
    ConflictError,
    InvalidError,
    LockedError,
    NoSpaceError,
    NotFoundError,
    QuotaError,
    TooLargeError,
)
from gateway.settings import load_settings
from gateway.sidecars import Sidecars
from tests.helpers import eventually
from tests.live import Api

ADA = Identity(user="ada", admin=False, scopes=frozenset())
BOB = Identity(user="bob", admin=False, scopes=frozenset())
CONTENT = os.urandom(10_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


@pytest.fixture
def files(redis: redis_client.Redis, blobs: BlobStore, tmp_path: Path) -> Files:
    settings = load_settings(with_secret=False)
    limits = replace(settings.limits, bytes_per_user=25_000, file_bytes=20_000)
    store = DatasetStore(redis, Sidecars(tmp_path / "sidecars"))
    return Files(store, blobs, replace(settings, limits=limits))


@pytest.fixture
def uploads(files: Files, tmp_path: Path) -> Uploads:
    limits = replace(load_settings(with_secret=False).limits, file_bytes=20_000)
    return Uploads(files, tmp_path / "blobs", limits)


def cut_after(pieces: list[bytes]) -> Iterator[bytes]:
    """Send pieces, and then nothing for ever."""
    yield from pieces
    raise BadRequestError("the body ended")


def unfinished(blobs: BlobStore) -> list[str]:
    return [path.name for path in blobs.path(DIGEST).parents[1].glob(".upload-*.bytes.part")]


def test_a_file_whose_line_is_cut_three_times_goes_on_where_it_was(
    uploads: Uploads, files: Files, blobs: BlobStore
) -> None:
    upload = uploads.start(ADA, "big.dat", len(CONTENT)).id
    sent = 0
    for cut in (1, 3_000, 9_999):
        offset = uploads.get(ADA, upload).offset
        with pytest.raises(BadRequestError):
            uploads.append(ADA, upload, offset, cut_after([CONTENT[offset:cut]]))
        sent += cut - offset
    assert (uploads.get(ADA, upload).offset, uploads.get(ADA, upload).digest) == (9_999, "")
    done = uploads.append(ADA, upload, 9_999, [CONTENT[9_999:]])
    assert (sent, done.digest, done.offset) == (9_999, DIGEST, len(CONTENT))
    assert files.read("ada", DIGEST) == CONTENT
    assert unfinished(blobs) == []
    assert uploads.append(ADA, upload, len(CONTENT), []).digest == DIGEST


def test_an_end_between_the_digest_and_the_move_is_ended_once_more(
    uploads: Uploads, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = uploads.start(ADA, "big.dat", len(CONTENT)).id
    with monkeypatch.context() as broken:
        broken.setattr(BlobStore, "_show", _die)
        with pytest.raises(KeyboardInterrupt):
            uploads.append(ADA, upload, 0, [CONTENT])
    assert uploads.get(ADA, upload).offset == len(CONTENT)
    assert not files.owns("ada", DIGEST)
    assert uploads.append(ADA, upload, len(CONTENT), []).digest == DIGEST
    assert files.read("ada", DIGEST) == CONTENT


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def test_pieces_that_do_not_follow_each_other_change_nothing(uploads: Uploads) -> None:
    upload = uploads.start(ADA, "big.dat", len(CONTENT)).id
    uploads.append(ADA, upload, 0, [CONTENT[:100]])
    for offset in (0, 99, 101, 10_000):
        with pytest.raises(ConflictError, match=f"100 bytes are here, not {offset}"):
            uploads.append(ADA, upload, offset, [b"x"])
    with pytest.raises(TooLargeError, match="announced with 10000 bytes"):
        uploads.append(ADA, upload, 100, [CONTENT])
    assert uploads.get(ADA, upload).offset == 100


def test_two_requests_never_write_to_one_file_at_once(uploads: Uploads) -> None:
    upload = uploads.start(ADA, "big.dat", len(CONTENT)).id

    def pieces() -> Iterator[bytes]:
        with pytest.raises(LockedError):
            uploads.append(ADA, upload, 0, [b"x"])
        yield CONTENT

    assert uploads.append(ADA, upload, 0, pieces()).digest == DIGEST


def test_two_requests_never_end_one_upload_at_once(
    uploads: Uploads, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = uploads.start(ADA, "big.dat", len(CONTENT)).id
    take = BlobStore.take

    def meanwhile(store: BlobStore, path: Path, admit: Callable[[Blob], object]) -> Blob:
        with pytest.raises(LockedError):
            uploads.append(ADA, upload, len(CONTENT), [])
        return take(store, path, admit)

    monkeypatch.setattr(BlobStore, "take", meanwhile)
    assert uploads.append(ADA, upload, 0, [CONTENT]).digest == DIGEST
    assert files.read("ada", DIGEST) == CONTENT


def test_an_upload_that_is_dropped_while_it_ends_is_gone(
    uploads: Uploads, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = uploads.start(ADA, "big.dat", len(CONTENT)).id
    admit = Files._remember

    def drop(store: Files, owner: str, path: str, blob: Blob, ended: Path) -> FileRef:
        uploads.drop(ADA, upload)
        return admit(store, owner, path, blob, ended)

    monkeypatch.setattr(Files, "_remember", drop)
    for ask in (partial(uploads.append, ADA, upload, 0, [CONTENT]),
                partial(uploads.get, ADA, upload)):  # fmt: skip
        with pytest.raises(NotFoundError, match="begin it again"):
            ask()
    assert not files.owns("ada", DIGEST)


def test_pieces_leave_the_rest_of_a_disk_to_records(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = uploads.start(ADA, "big.dat", len(CONTENT)).id
    monkeypatch.setattr("gateway.disk._RESERVE", 1.0)  # others have filled it since
    with pytest.raises(NoSpaceError, match="nearly full"):
        uploads.start(ADA, "more.dat", 1)
    with pytest.raises(NoSpaceError, match="nearly full"):
        uploads.append(ADA, upload, 0, [CONTENT])
    assert uploads.get(ADA, upload).offset == 0
    monkeypatch.undo()
    assert uploads.append(ADA, upload, 0, [CONTENT]).digest == DIGEST


def test_what_a_site_does_not_take_is_refused_before_anything_is_sent(
    uploads: Uploads, files: Files
) -> None:
    with pytest.raises(TooLargeError, match="at most"):
        uploads.start(ADA, "big.dat", 20_001)
    with pytest.raises(InvalidError):
        uploads.start(ADA, "../etc/passwd", 1)
    for _ in range(MOST_AT_ONCE):
        uploads.start(ADA, "a.dat", 1)
    with pytest.raises(ConflictError, match="20 of your uploads"):
        uploads.start(ADA, "a.dat", 1)
    assert uploads.start(BOB, "a.dat", 1).offset == 0
    files.put("bob", "x", bytes(20_000))
    with pytest.raises(QuotaError, match=r"with 10 kB more you would keep more than the 25 kB"):
        uploads.start(BOB, "b.dat", 10_000)
    files.put("bob", "y", bytes(range(250)) * 20)
    with pytest.raises(QuotaError, match="results have"):
        uploads.start(BOB, "b.dat", 1)


def test_what_has_come_of_a_file_counts_among_what_its_user_keeps(
    uploads: Uploads, files: Files
) -> None:
    upload, other = (uploads.start(ADA, f"{name}.dat", 10_000).id for name in "ab")
    for one in (upload, other):
        with pytest.raises(BadRequestError):
            uploads.append(ADA, one, 0, cut_after([CONTENT[:8_000]]))
    said = r"your files 0 B, uploads that have not ended 16 kB\. Delete"
    with pytest.raises(QuotaError, match=said):
        uploads.start(ADA, "c.dat", 9_001)
    with pytest.raises(QuotaError, match=said):
        files.add(ADA, "whole.dat", [bytes(9_001)])
    files.put("bob", "x.dat", bytes(20_000))  # which is nothing of hers
    files.add(ADA, "whole.dat", [bytes(7_001)])
    with pytest.raises(QuotaError, match=r"with 2\.0 kB more"):
        uploads.append(ADA, upload, 8_000, [CONTENT[8_000:]])
    assert uploads.get(ADA, upload).offset == 8_000, "what has come stays"
    uploads.drop(ADA, other)
    assert uploads.append(ADA, upload, 8_000, [CONTENT[8_000:]]).digest == DIGEST
    assert files.add(ADA, "last.dat", [b"x" * 7_999]).size == 7_999, "and nothing counts twice"
    with pytest.raises(QuotaError, match=r"your files 25 kB\. Delete"):
        files.add(ADA, "more.dat", [b"y"])


def test_who_has_begun_many_loses_the_one_that_rested_longest(
    uploads: Uploads, tmp_path: Path
) -> None:
    begun = [uploads.start(ADA, f"{number}.dat", 9).id for number in range(MOST_AT_ONCE)]
    root = tmp_path / "blobs"
    for age_s, one in ((REST_S + 9, begun[3]), (REST_S + 99, begun[7])):
        (path,) = root.glob(f".upload-*{one}.bytes.part")
        os.utime(path, (0, time.time() - age_s))
    for gone in (begun[7], begun[3]):
        assert uploads.get(ADA, uploads.start(ADA, "new.dat", 9).id).offset == 0
        with pytest.raises(NotFoundError):
            uploads.get(ADA, gone)
        assert len(list(root.glob(".upload-*.bytes.part"))) == MOST_AT_ONCE
    with pytest.raises(ConflictError, match="for an hour"):
        uploads.start(ADA, "new.dat", 9)


def test_nobody_sees_or_ends_the_upload_of_another(uploads: Uploads) -> None:
    upload = uploads.start(ADA, "big.dat", 10).id
    for wrong in (upload, "01ARZ3NDEKTSV4RRFFQ69G5FAV", "../x", "", "*"):
        with pytest.raises(NotFoundError):
            uploads.get(BOB, wrong)
        with pytest.raises(NotFoundError):
            uploads.append(BOB, wrong, 0, [b"x"])
        with pytest.raises(NotFoundError):
            uploads.drop(BOB, wrong)
    assert uploads.get(ADA, upload).offset == 0
    uploads.drop(ADA, upload)
    with pytest.raises(NotFoundError):
        uploads.get(ADA, upload)


def test_what_nobody_went_on_with_is_swept(
    uploads: Uploads, blobs: BlobStore, tmp_path: Path
) -> None:
    upload = uploads.start(ADA, "big.dat", 10).id
    for path in (tmp_path / "blobs").glob(".upload-*"):
        os.utime(path, (0, 0))
    with pytest.raises(BadRequestError):  # each of its pieces is cut, and still it goes on
        uploads.append(ADA, upload, 0, cut_after([b"x"]))
    blobs.remove_unfinished(before=time.time() - 1000)
    assert uploads.get(ADA, upload).offset == 1
    uploads.drop(ADA, upload)
    upload = uploads.start(ADA, "big.dat", 10).id
    blobs.remove_unfinished(before=0)
    assert uploads.get(ADA, upload).offset == 0
    blobs.remove_unfinished(before=2**40)
    with pytest.raises(NotFoundError):
        uploads.get(ADA, upload)


def test_an_empty_file_is_whole_at_once(uploads: Uploads) -> None:
    assert uploads.start(ADA, "empty", 0).digest == hashlib.sha256(b"").hexdigest()


def test_over_http_a_cut_line_costs_no_more_than_a_block(api: Api) -> None:
    content = os.urandom(3_000_000)
    upload = announce(api, "cut.dat", len(content))
    place = f"/uploads/{upload}"
    for cut in (500_000, 1_400_000, 2_900_000):
        offset = int(api.http.head(place).headers["Upload-Offset"])
        send_and_hang_up(api, upload, offset, content[offset:cut], len(content) - offset)
        eventually(
            partial(is_beyond, api, place, cut - 3 * 65_536), what="the bytes before the cut"
        )
    offset = int(api.http.head(place).headers["Upload-Offset"])
    headers = {**TUS, "Upload-Offset": str(offset), "Content-Type": PIECE}
    eventually(
        lambda: api.http.patch(place, content=content[offset:], headers=headers).status_code == 204,
        what="the last piece",
    )
    assert api.http.get(place).json()["digest"] == hashlib.sha256(content).hexdigest()


TUS = {"Tus-Resumable": "1.0.0"}
PIECE = "application/offset+octet-stream"


def is_beyond(api: Api, place: str, least: int) -> bool:
    return int(api.http.head(place).headers["Upload-Offset"]) >= least


def announce(api: Api, name: str, size: int) -> str:
    metadata = f"filename {base64.b64encode(name.encode()).decode()},filetype eA==,empty"
    headers = {**TUS, "Upload-Length": str(size), "Upload-Metadata": metadata}
    answer = api.http.post("/uploads", headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"].rpartition("/")[2]


def send_and_hang_up(api: Api, upload: str, offset: int, content: bytes, announced: int) -> None:
    """Send less than was announced, and leave, as a laptop does that is closed."""
    head = (
        f"PATCH /api/v1/uploads/{upload} HTTP/1.1\r\nHost: 127.0.0.1:{api.live.port}\r\n"
        f"Authorization: Bearer {api.live.tokens[api.name]}\r\nTus-Resumable: 1.0.0\r\n"
        f"Content-Type: {PIECE}\r\nUpload-Offset: {offset}\r\n"
        f"Content-Length: {announced}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", api.live.port), timeout=30) as line:
        line.sendall(head.encode() + content)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/uploads", {"Tus-Resumable": "0.2.2"}, 412),
        ("POST", "/uploads", {"Upload-Length": "-1"}, 400),
        ("POST", "/uploads", {"Upload-Length": "99999999999"}, 413),
        ("POST", "/uploads", {"Upload-Metadata": "filename ***"}, 400),
        ("POST", "/uploads", {"Upload-Metadata": "filename Li4veA=="}, 422),
        ("PATCH", "", {"Upload-Offset": "x"}, 400),
        ("PATCH", "", {"Upload-Offset": "1"}, 409),
        ("PATCH", "", {"Content-Type": "text/plain"}, 415),
        ("PATCH", "", {"Tus-Resumable": ""}, 412),
        ("PATCH", "/uploads/nothing", {}, 404),
    ],
)
def test_over_http_what_is_wrong_is_named(
    api: Api, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    usual = {"Upload-Length": "3", "Upload-Metadata": "filename eA==", "Upload-Offset": "0"}
    place = path or f"/uploads/{announce(api, 'x', 3)}"
    sent = {**TUS, **usual, "Content-Type": PIECE, **headers}
    answer = api.http.request(method, place, headers=sent, content=b"")
    assert answer.status_code == status, answer.text
    assert len(answer.json()["detail"]) > 10
