"""Whatever a server answers becomes an image that was asked for, or one sentence."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pydicom
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from mammo.dicom.instance_identity import read_instance_identity
from mammo.errors import PacsError
from mammo.pacs import FoundImage, Query, Retriever, UidMap, find
from mammo.pacs.bandwidth import Bandwidth
from mammo.pacs.multipart import boundary, parts
from mammo.pacs.refusals import retry_after
from tests.mammo.pacs.hostile_server import BOUNDARY, HostileServer, Reply, multipart
from tests.mammo.pacs.patients import named

PATIENT = "PID-90817"
JSON = "application/dicom+json"


def image_of(file: Path) -> FoundImage:
    data = pydicom.dcmread(file)
    return FoundImage(
        patient=data.PatientID, study=data.StudyInstanceUID, series=data.SeriesInstanceUID,
        instance=data.SOPInstanceUID, day="", accession="", view="", laterality="",
    )  # fmt: skip


def refused(reply: Reply, *, max_bytes: int = 2**20) -> PacsError:
    with HostileServer(reply) as server, pytest.raises(PacsError) as error:
        server.client().retrieve("1.2", "1.3", "1.4", io.BytesIO(), max_bytes=max_bytes)
    return error.value


WHOLE = multipart(b"DICM" * 1000)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(body=WHOLE[:2000]), "pacs_truncated"),
        (Reply(body=WHOLE[:2000], stated_length=len(WHOLE)), "pacs_truncated"),
        (Reply(body=WHOLE[:-6]), "pacs_truncated"),
        (Reply(body=b""), "pacs_truncated"),
        (Reply(body=multipart()), "pacs_empty"),
        (Reply(body=b"<html>log in</html>", content_type="text/html"), "pacs_content_type"),
        (Reply(body=WHOLE, content_type='multipart/related; type="image/jpeg"; boundary=x'), "pacs_content_type"),
        (Reply(body=multipart(b"x", content_type="image/jpeg")), "pacs_content_type"),
        (Reply(body=multipart(b"one", b"two")), "pacs_content_type"),
        (Reply(body=f"\r\n--{BOUNDARY}\r\n".encode() + b"X: y\r\n" * 10_000), "pacs_multipart"),
        (Reply(status=302, headers={"Location": "http://169.254.169.254/"}), "pacs_redirect"),
        (Reply(status=401), "pacs_unauthorized"),
        (Reply(status=403), "pacs_forbidden"),
        (Reply(status=404), "pacs_not_found"),
        (Reply(status=500), "pacs_http_500"),
        (Reply(status=429, headers={"Retry-After": "100000"}), "pacs_busy"),
    ],
)  # fmt: skip
def test_an_answer_that_is_no_image_is_one_sentence(reply: Reply, code: str) -> None:
    error = refused(reply)
    assert error.code == code
    assert str(error).startswith("the PACS at 127.0.0.1 ")
    assert "\n" not in str(error)


def test_an_image_that_is_too_large_is_refused_while_it_arrives() -> None:
    assert refused(Reply(body=WHOLE), max_bytes=3999).code == "too_large"
    with HostileServer(Reply(body=WHOLE)) as server:
        assert server.client().retrieve("1.2", "1.3", "1.4", io.BytesIO(), max_bytes=4000) == 4000


def test_a_busy_pacs_is_asked_again_when_it_says() -> None:
    busy = [Reply(status=503, headers={"Retry-After": "0"}), Reply(status=429, headers={"Retry-After": "0"})]
    with HostileServer(*busy, Reply(body=b"[]", content_type=JSON)) as server:
        assert server.client().search("studies", {}, limit=1, offset=0) == []
    assert len(server.requests) == 3


def test_while_somebody_waits_a_busy_pacs_is_asked_once() -> None:
    with (
        HostileServer(Reply(status=503, headers={"Retry-After": "0"})) as server,
        pytest.raises(PacsError) as error,
    ):
        server.client(somebody_waits=True).search("studies", {}, limit=1, offset=0)
    assert (error.value.code, len(server.requests)) == ("pacs_busy", 1)


@pytest.mark.parametrize("body", [b"<html/>", b"[1]", b'{"a": ', b"7", b'"text"', b"[" * 10**5])
def test_an_answer_to_a_query_that_is_no_dicom_json_is_one_sentence(body: bytes) -> None:
    with HostileServer(Reply(body=body, content_type=JSON)) as server, pytest.raises(PacsError) as error:
        server.client().search("studies", {"PatientID": PATIENT}, limit=1, offset=0)
    assert error.value.code == "pacs_content_type"
    assert PATIENT not in str(error.value)


def test_an_answer_to_a_query_that_would_fill_the_memory_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mammo.pacs.transport.MAX_IN_MEMORY", 1000)
    with (
        HostileServer(Reply(body=b"[" + b" " * 2000 + b"]", content_type=JSON)) as server,
        pytest.raises(PacsError, match="narrow the query") as error,
    ):
        server.client().search("studies", {}, limit=1, offset=0)
    assert error.value.code == "pacs_too_large"


def test_secrets_and_patients_are_in_no_log_and_no_message(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    with HostileServer(Reply(status=500)) as server:
        for shown in (
            {"pacs_token": "s3cret-t0ken"},
            {"pacs_user": "me", "pacs_password": "s3cret-passw0rd"},
        ):
            with pytest.raises(PacsError) as error:
                server.client(**shown).search("studies", {"PatientID": PATIENT}, limit=1, offset=0)
            assert not any(
                word in f"{error.value!r}{caplog.text}" for word in ("s3cret", PATIENT, "czNjcmV0")
            )
        assert server.requests[0][1]["Authorization"] == "Bearer s3cret-t0ken"
        assert server.requests[1][1]["Authorization"].startswith("Basic ")
        assert PATIENT in server.requests[0][0]


def test_studies_that_were_not_asked_for_are_not_taken() -> None:
    """A PACS that ignores the patient of a query, and pages."""
    other = (
        b'[{"0020000D": {"vr": "UI", "Value": ["1.2.3"]}, "00100020": {"vr": "LO", "Value": ["SOMEBODY"]}}]'
    )
    with HostileServer(Reply(body=other, content_type=JSON)) as server:
        assert list(find(server.client(), Query(patient=PATIENT), limit=10)) == []
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda copy: named(copy, patient="PID-666"), "pacs_other_patient"),
        (lambda copy: named(copy, patient="PID-0", SOPInstanceUID="1.2.3"), "pacs_other_instance"),
        (lambda copy: named(copy, patient="PID-0", StudyInstanceUID="1.2.3"), "pacs_other_instance"),
    ],
)
def test_the_image_of_another_patient_is_not_kept(
    change: Callable[[Path], Path], code: str, two_patients: list[Path], tmp_path: Path, engine: sa.Engine
) -> None:
    sent = change(Path(shutil.copy(two_patients[0], tmp_path / "sent.dcm"))).read_bytes()
    (tmp_path / "scratch").mkdir()
    with HostileServer(Reply(body=multipart(sent))) as server:
        retriever = Retriever(
            server.client(), UidMap(engine, b"a secret of the site"), folder=tmp_path / "kept",
            scratch=tmp_path / "scratch", secret=b"a secret of the site", max_bytes=2**20,
        )  # fmt: skip
        with pytest.raises(PacsError, match="it is not kept") as error:
            retriever(image_of(two_patients[0]))
    assert error.value.code == code
    assert "PID-" not in str(error.value)
    assert not (tmp_path / "kept").exists()
    assert not list((tmp_path / "scratch").iterdir())


def test_the_original_is_found_with_the_secret_of_the_import_only(
    any_engine: sa.Engine, two_patients: list[Path]
) -> None:
    original = read_instance_identity(two_patients[0].read_bytes())
    uids = UidMap(any_engine, b"a secret of the site")
    for _ in range(2):
        uids.record("2.25.1", "2.25.2", original)
    assert uids.find("2.25.1") == original
    assert uids.find("2.25.9") is None
    assert uids.known(["2.25.1", "2.25.9"]) == {"2.25.1"}
    with pytest.raises(PacsError, match="YOLO_MLSAM_PATIENT_SECRET"):
        UidMap(any_engine, b"another secret of it").find("2.25.1")


@given(contents=st.lists(st.binary(max_size=300), max_size=3), cuts=st.lists(st.integers(1, 40), min_size=1))
def test_parts_are_the_same_however_the_bytes_arrive(contents: list[bytes], cuts: list[int]) -> None:
    contents = [each for each in contents if BOUNDARY.encode() not in each]
    message, chunks = multipart(*contents), list[bytes]()
    while message:
        for cut in cuts:
            chunks.append(message[:cut])
            message = message[cut:]
    if not contents:
        assert list(parts(chunks, BOUNDARY.encode(), host="h")) == []
        return
    assert [b"".join(part) for part in parts(chunks, BOUNDARY.encode(), host="h")] == contents


def test_the_boundary_may_be_quoted() -> None:
    quoted = 'Multipart/Related; boundary="a b"; type=application/dicom'
    assert boundary(quoted, holds="application/dicom", host="h") == b"a b"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 4),
        ("7", 7),
        ("soon", 4),
        ("-1", 4),
        ("Tue, 01 Dec 2026 00:00:09 GMT", 9),
        ("Tue, 01 Dec 2020 00:00:00 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float) -> None:
    assert retry_after(value, attempt=3, now=datetime(2026, 12, 1, tzinfo=UTC)) == seconds


def test_a_bandwidth_is_shared_and_a_pause_gives_no_more_than_a_second_of_it() -> None:
    now, slept = [0.0], list[float]()
    bandwidth = Bandwidth(100, clock=lambda: now[0], sleep=slept.append)
    bandwidth.take(50)
    bandwidth.take(100)
    assert slept == [0.5, 1.5]
    now[0] = 1000.0
    bandwidth.take(150)
    assert slept == [0.5, 1.5, 0.5]
    Bandwidth(0, sleep=slept.append).take(10**9)
    assert len(slept) == 3
