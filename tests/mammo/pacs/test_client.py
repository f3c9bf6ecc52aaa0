"""A DICOMweb server is asked as images are downloaded; claims on a real Orthanc."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.phantom import phantom_command
from mammo.errors import InvalidSettings, PacsError
from mammo.exchange.phantom_files import PhantomOptions
from mammo.pacs import PacsClient
from mammo.phantom import vendor_b
from mammo.settings import Settings
from tests.orthanc_server import OrthancServer

STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"


def client(server: OrthancServer, **changes: Any) -> PacsClient:
    return PacsClient.of(Settings.load(**server.settings | changes))


@pytest.fixture(scope="module")
def mammogram(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantoms") / "out"
    small = replace(vendor_b(), width=256, height=320)
    phantom_command(PhantomOptions(patients=1, seed=3, appearance=small, positive=0.0), out=out)
    return sorted(each for each in out.glob("*.dcm") if ".seg." not in each.name)[0]


def uid(answer: dict[str, Any], tag: str) -> str:
    (value,) = answer[tag]["Value"]
    return str(value)


def test_an_instance_that_was_found_arrives_byte_for_byte(orthanc: OrthancServer, mammogram: Path) -> None:
    orthanc.push(mammogram)
    pacs = client(orthanc)
    (study,) = pacs.search("studies", {"ModalitiesInStudy": "MG"}, limit=10, offset=0)
    (series,) = pacs.search("series", {}, study=uid(study, STUDY), limit=10, offset=0)
    uids = {"study": uid(study, STUDY), "series": uid(series, SERIES)}
    (found,) = pacs.search("instances", {}, fields=["ViewPosition"], limit=10, offset=0, **uids)
    assert found["00185101"]["Value"] == ["CC"]
    assert [uid(each, INSTANCE) for each in pacs.metadata(*uids.values())] == [uid(found, INSTANCE)]
    file = io.BytesIO()
    assert pacs.retrieve(*uids.values(), uid(found, INSTANCE), file, max_bytes=2**20) == len(file.getvalue())
    assert file.getvalue() == mammogram.read_bytes()


def test_a_page_ends_where_it_should(orthanc: OrthancServer, mammogram: Path) -> None:
    orthanc.push(mammogram)
    pacs = client(orthanc)
    assert len(pacs.search("studies", {}, limit=1, offset=0)) == 1
    assert pacs.search("studies", {}, limit=1, offset=1) == []
    assert pacs.search("studies", {"PatientID": "NOBODY"}, limit=1, offset=0) == []


def test_a_wrong_password_is_one_sentence(orthanc: OrthancServer) -> None:
    with pytest.raises(PacsError, match="answered 401: it does not accept") as refused:
        client(orthanc, pacs_password="wrong").search("studies", {"PatientID": "17"}, limit=1, offset=0)
    assert refused.value.code == "pacs_unauthorized"


def test_a_private_address_is_asked_only_if_its_network_is_allowed(orthanc: OrthancServer) -> None:
    with pytest.raises(PacsError, match="YOLO_MLSAM_PRIVATE_NETWORKS") as refused:
        client(orthanc, private_networks="").search("studies", {}, limit=1, offset=0)
    assert refused.value.code == "blocked_address"


def test_tls_is_verified_and_a_client_shows_its_certificate() -> None:
    server = OrthancServer(tls=True, asks_for_certificate=True)
    try:
        server.start()
        shown = {"pacs_client_certificate": server.ca_file}
        assert client(server, **shown).search("studies", {}, limit=1, offset=0) == []
        with pytest.raises(PacsError, match="answered 400"):  # so nginx says that it was shown none
            client(server).search("studies", {}, limit=1, offset=0)
        with pytest.raises(PacsError, match=r"is not trusted \(self.signed certificate\)") as refused:
            client(server, pacs_ca_file=None).search("studies", {}, limit=1, offset=0)
        assert refused.value.code == "pacs_certificate"
    finally:
        server.remove()


def test_a_pacs_that_is_down_is_one_sentence(tmp_path: Path) -> None:
    settings = Settings.load(pacs_url="http://127.0.0.1:9/dicom-web", private_networks="127.0.0.0/8")
    with pytest.raises(PacsError, match="cannot be reached") as refused:
        PacsClient.of(settings).search("studies", {}, limit=1, offset=0)
    assert refused.value.code == "pacs_unreachable"


def test_what_cannot_be_used_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(InvalidSettings, match="YOLO_MLSAM_PACS_URL"):
        PacsClient.of(Settings.load(pacs_url=""))
    with pytest.raises(InvalidSettings, match="YOLO_MLSAM_PACS_CA_FILE: cannot be read"):
        PacsClient.of(Settings.load(pacs_url="https://pacs.example", pacs_ca_file=tmp_path / "ca.pem"))
    for wrong in ({"pacs_user": "a"}, {"pacs_client_key": tmp_path}, {"pacs_url": "https://u:p@pacs"}):
        with pytest.raises(InvalidSettings, match=r"YOLO_MLSAM_.*PACS_"):
            Settings.load(**{"pacs_url": "https://pacs.example", **wrong})
