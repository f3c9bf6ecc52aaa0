"""Settings of the PACS; a part of `mammo.settings.Settings`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

from mammo.setting_values import dicomweb_address, header_secret


class PacsSettings(BaseSettings):
    """The DICOMweb server that images come from and results go to, and what it is shown."""

    pacs_url: Annotated[str, AfterValidator(dicomweb_address)] = ""
    """DICOMweb address of the PACS, for example `https://pacs.hospital.example/dicom-web`; empty: no PACS."""

    pacs_user: str = Field("", pattern=r"^[^:\x00-\x1f]*$")
    """User name at the PACS (basic auth); empty: none is sent."""

    pacs_password: Annotated[SecretStr, AfterValidator(header_secret)] = SecretStr("")
    """Password at the PACS."""

    pacs_token: Annotated[SecretStr, AfterValidator(header_secret)] = SecretStr("")
    """Token that is sent to the PACS as `Authorization: Bearer`, in place of user name and password."""

    pacs_ca_file: Path | None = None
    """Certificates (PEM) that the PACS is trusted by, beside the public ones and those of the machine."""

    pacs_client_certificate: Path | None = None
    """Certificate (PEM) that is shown to the PACS."""

    pacs_client_key: Path | None = None
    """Private key (PEM, without a password) of that certificate; None: it is in the certificate's file."""

    pacs_seconds: float = Field(300.0, gt=0)
    """Time limit of one answer of the PACS, in seconds; `YOLO_MLSAM_DOWNLOAD_BYTES_PER_SECOND` is its least rate."""

    pacs_bytes_per_second: int = Field(0, ge=0)
    """Most bytes per second that an import takes from the PACS, all connections together; 0: any."""

    pacs_connections: int = Field(2, ge=1, le=16)
    """Images that an import retrieves from the PACS at once."""

    @model_validator(mode="after")
    def _one_way_to_log_in(self) -> Self:
        if self.pacs_user and self.pacs_token.get_secret_value():
            raise ValueError(
                "PACS_USER and PACS_TOKEN: set one of them, a request has one Authorization header"
            )
        if self.pacs_user and not self.pacs_password.get_secret_value():
            raise ValueError("PACS_USER needs PACS_PASSWORD")
        if self.pacs_client_key and not self.pacs_client_certificate:
            raise ValueError("PACS_CLIENT_KEY needs PACS_CLIENT_CERTIFICATE")
        return self
