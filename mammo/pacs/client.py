"""PacsClient: queries, retrievals and storage at a DICOMweb server (QIDO-RS, WADO-RS, STOW-RS; PS3.18).

A thin wrapper of `dicomweb_client`, which knows the protocol's addresses and parameters. The connection is ours
(`mammo.pacs.transport`), and so is the reading of images: they go to the disk as they arrive.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, Literal
from urllib.parse import urlsplit

import requests
from requests.auth import HTTPBasicAuth

from mammo.errors import InvalidSettings, PacsError
from mammo.images.downloads import AddressRule
from mammo.labelstudio.connection import trusted_certificates
from mammo.pacs.bandwidth import Bandwidth
from mammo.pacs.multipart import boundary, parts
from mammo.pacs.transport import MAX_ATTEMPTS, PacsTransport
from mammo.settings import Settings

Level = Literal["studies", "series", "instances"]

Answer = dict[str, Any]
"""A data set in the DICOM JSON model (PS3.18 F.2)."""

DICOM = "application/dicom"

PATIENCE = 30.0
"""Time limit of one answer while somebody waits for it, in seconds."""

NOT_SET = "set YOLO_MLSAM_PACS_URL to the DICOMweb address of the PACS, for example https://HOST/dicom-web"


class PacsClient:
    """A DICOMweb server. Safe to share between threads; must be closed."""

    def __init__(
        self,
        url: str,
        transport: PacsTransport,
        *,
        auth: tuple[str, str] | None = None,
        token: str = "",
    ) -> None:
        """
        Args:
            url: DICOMweb address.
            transport: sends the requests.
            auth: user name and password.
            token: sent as `Authorization: Bearer`; empty: none.
        """
        self.host = urlsplit(url).hostname or ""
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.adapters.clear()
        self._session.mount(f"{urlsplit(url).scheme}://", transport)
        if auth is not None:
            self._session.auth = HTTPBasicAuth(auth[0].encode(), auth[1].encode())
        elif token:
            self._session.headers["Authorization"] = f"Bearer {token}"
        # Late: it imports all that it needs to be a server of files too.
        from dicomweb_client import DICOMwebClient

        self._url = url
        self._web = DICOMwebClient(url, session=self._session)
        self._web.set_http_retry_params(retry=False)  # the transport does, as Retry-After says
        for name in (
            "dicomweb_client",
            "retrying",
        ):  # they log addresses, which name patients, and tracebacks
            logging.getLogger(name).setLevel(logging.CRITICAL)

    @classmethod
    def of(cls, settings: Settings, *, somebody_waits: bool = False) -> PacsClient:
        """Return the client of the PACS that the settings name.

        Args:
            somebody_waits: give up early, and ask a busy PACS only once.

        Raises:
            InvalidSettings: they name none, or a certificate that cannot be read.
        """
        if not settings.pacs_url:
            raise InvalidSettings(NOT_SET)
        transport = PacsTransport(
            rule=AddressRule.parse(settings.private_networks),
            tls=_tls(settings),
            seconds=min(settings.pacs_seconds, PATIENCE) if somebody_waits else settings.pacs_seconds,
            attempts=1 if somebody_waits else MAX_ATTEMPTS,
            least_rate=settings.download_bytes_per_second,
            bandwidth=Bandwidth(settings.pacs_bytes_per_second),
        )
        password, token = settings.pacs_password.get_secret_value(), settings.pacs_token.get_secret_value()
        return cls(
            settings.pacs_url,
            transport,
            auth=(settings.pacs_user, password) if settings.pacs_user else None,
            token=token,
        )

    def search(
        self,
        level: Level,
        filters: Mapping[str, str],
        *,
        fields: Sequence[str] = (),
        study: str | None = None,
        series: str | None = None,
        limit: int,
        offset: int,
    ) -> list[Answer]:
        """Return one page of the studies, series or instances that match.

        Args:
            filters: value by keyword, such as `{"StudyDate": "20260101-20261231"}`. A PACS may ignore some.
            fields: keywords of further attributes to answer.
            study, series: UIDs within which to search.
            limit: most matches of the page.
            offset: matches before it.

        Raises:
            PacsError: the PACS does not answer, refuses the query, or answers something else.
        """
        options: dict[str, Any] = {
            "search_filters": dict(filters),
            "fields": list(fields) or None,
            "limit": limit,
            "offset": offset,
        }
        try:
            if level == "studies":
                found = self._web.search_for_studies(**options)
            elif level == "series":
                found = self._web.search_for_series(study, **options)
            else:
                found = self._web.search_for_instances(study, series, **options)
        except (ValueError, TypeError, RecursionError, requests.RequestException):
            raise self._no_json() from None
        return self._answers(found)

    def metadata(self, study: str, series: str) -> list[Answer]:
        """Return the attributes of all instances of a series, without pixels; raises PacsError as `search` does."""
        try:
            found = self._web.retrieve_series_metadata(study, series)
        except (ValueError, TypeError, RecursionError, requests.RequestException):
            raise self._no_json() from None
        return self._answers(found)

    def retrieve(self, study: str, series: str, instance: str, into: BinaryIO, *, max_bytes: int) -> int:
        """Write an instance to a file as it arrives, in the transfer syntax in which it is stored; return its size.

        What it holds is not looked at: it may be another instance.

        Raises:
            PacsError: the PACS does not answer, refuses, sends no DICOM, a part of it, or more than `max_bytes`.
        """
        url = f"{self._url}/studies/{study}/series/{series}/instances/{instance}"
        accept = f'multipart/related; type="{DICOM}"; transfer-syntax=*'
        with self._session.get(url, headers={"Accept": accept}, stream=True) as response:
            mark = boundary(response.headers.get("Content-Type", ""), holds=DICOM, host=self.host)
            sizes: list[int] = []
            for part in parts(response.iter_content(2**16), mark, host=self.host):
                if sizes or part.content_type not in (DICOM, ""):
                    raise self._other_part(part.content_type, more=bool(sizes))
                sizes.append(0)
                for chunk in part:
                    sizes[0] += len(chunk)
                    if sizes[0] > max_bytes:
                        raise PacsError(
                            f"the PACS at {self.host} sends an image of more than {max_bytes} bytes "
                            "(YOLO_MLSAM_MAX_IMAGE_BYTES)",
                            code="too_large",
                        )
                    into.write(chunk)
        if not sizes:
            raise PacsError(
                f"the PACS at {self.host} sent no image where one was asked for", code="pacs_empty"
            )
        return sizes[0]

    def store(self, data_sets: Sequence[Any], *, study: str) -> Answer:
        """Store instances (pydicom data sets with file meta information) in a study; return the PACS's report.

        Raises:
            PacsError: the PACS does not answer, or stored none of them.
        """
        try:
            report = self._web.store_instances(data_sets, study_instance_uid=study)
        except requests.RequestException:
            raise PacsError(
                f"the PACS at {self.host} did not store what it was sent", code="pacs_not_stored"
            ) from None
        answer: Answer = report.to_json_dict()
        return answer

    def close(self) -> None:
        self._session.close()

    def _answers(self, found: object) -> list[Answer]:
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise self._no_json()
        return found

    def _no_json(self) -> PacsError:
        return PacsError(
            f"the PACS at {self.host} did not answer a query with DICOM JSON; is YOLO_MLSAM_PACS_URL its DICOMweb "
            "address?",
            code="pacs_content_type",
        )

    def _other_part(self, content_type: str, *, more: bool) -> PacsError:
        what = "several parts" if more else repr(content_type[:60])
        return PacsError(
            f"the PACS at {self.host} sent {what} where one instance of {DICOM} was expected",
            code="pacs_content_type",
        )


def _tls(settings: Settings) -> ssl.SSLContext:
    """Return a context that verifies the PACS and shows it the client's certificate, if there is one."""
    context = trusted_certificates()
    place = "YOLO_MLSAM_PACS_CA_FILE"
    try:
        if settings.pacs_ca_file is not None:
            context.load_verify_locations(settings.pacs_ca_file)
        place = "YOLO_MLSAM_PACS_CLIENT_CERTIFICATE and _KEY"
        if settings.pacs_client_certificate is not None:
            # A key with a password would be asked for on the terminal.
            context.load_cert_chain(
                settings.pacs_client_certificate, settings.pacs_client_key, password=_no_password
            )
    except (OSError, ssl.SSLError, ValueError) as error:
        reason = (
            error.strerror if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else "no PEM"
        )
        raise InvalidSettings(
            f"{place}: cannot be read ({reason}); expected PEM, the key without password"
        ) from None
    return context


def _no_password() -> str:
    return ""
