"""Settings: one frozen object that an entry point reads from the environment and the settings file, once."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from mammo.credentials import sendable, sendable_user
from mammo.errors import InvalidSettings
from mammo.notification_settings import NotificationSettings
from mammo.pacs_settings import PacsSettings
from mammo.setting_sources import Sources, source_problem, sources, validation_problem
from mammo.setting_values import digests, networks, pins, project_ids
from mammo.site_file import find_site_file, read_site_file
from mammo.training_settings import TrainingSettings

PREFIX = "YOLO_MLSAM_"
SITE = f"{PREFIX}SITE"


@dataclass(frozen=True)
class Bucket:
    """A bucket of an S3-compatible store, and its keys."""

    name: str
    prefix: str
    endpoint: str
    """Address of the store; empty: Amazon S3."""

    region: str
    access_key: str
    secret_key: SecretStr


class Settings(TrainingSettings, NotificationSettings, PacsSettings):
    """Each field is read from the environment variable `YOLO_MLSAM_<FIELD>`, else from the file of that name in
    `secrets_dir`, else from the settings file `site`; docs/settings.md lists all of them."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    site: Path | None = None
    """The settings file, which `yolo-mlsam init` writes; None: `yolo-mlsam.env` in the working directory, if any."""

    secrets_dir: Path | None = None
    """Folder of files that each hold one setting and are named as its variable, as container engines mount secrets."""

    data_dir: Path = Path("data")
    """Folder of database, blobs, runs and caches; made, or made private (mode 0700), at every start."""

    database_url: str = ""
    """SQLAlchemy URL of the database; empty: SQLite in `data_dir`."""

    blob_store: str = Field("", pattern=r"^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w./-]*)?)?$")
    """`s3://bucket/prefix` for blobs that several hosts share; empty: a folder in `data_dir`."""

    s3_endpoint: str = ""
    """Address of the S3-compatible store, for example `http://minio:9000`; empty: Amazon S3."""

    s3_region: str = "us-east-1"
    """Region of the bucket."""

    s3_access_key: str = ""
    """Access key of the bucket."""

    s3_secret_key: SecretStr = SecretStr("")
    """Secret key of the bucket."""

    trusted_keys: str = Field("", pattern=r"^([0-9a-fA-F]{64}([,\s]+|$))*$")
    """Public keys (hexadecimal, comma separated) whose signatures on model bundles are accepted."""

    bundle_key: Path | None = None
    """File of the private key that signs bundles downloaded from the console; `yolo-mlsam models keygen` makes one."""

    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """Redis server of the job queue: `redis://`, `rediss://` or `unix://`, including the password."""

    host: str = "127.0.0.1"
    """Address the backend listens on."""

    port: int = Field(9090, ge=1, le=65535)
    """Port the backend listens on."""

    max_connections: int = Field(4096, ge=32)
    """Most open connections; then the oldest silent one without a right secret makes room for a new one."""

    max_connections_per_address: int = Field(2048, ge=16)
    """Most connections of one address that have not yet sent a right secret."""

    trusted_proxies: Annotated[str, AfterValidator(networks)] = ""
    """Reverse proxies whose `X-Forwarded-For` counts, comma separated, for example `10.1.0.7,10.2.0.0/16`."""

    user_header: str = Field("", pattern=r"^([A-Za-z][A-Za-z0-9-]*)?$")
    """Header in which a trusted proxy names the console user that it has logged in, for example `X-Remote-User`."""

    auth_user: Annotated[str, AfterValidator(sendable_user)] = "label-studio"
    """User name of the basic auth that Label Studio sends to the backend."""

    auth_password: SecretStr = SecretStr("")
    """Password of the basic auth; the backend does not start without one."""

    webhook_secret: SecretStr = SecretStr("")
    """Value of the `X-Yolo-Mlsam-Secret` header of Label Studio's webhooks; required."""

    api_keys: Annotated[SecretStr, AfterValidator(digests)] = SecretStr("")
    """SHA-256 (hexadecimal, comma separated) of the keys that scripts may send as `Authorization: Bearer`."""

    label_studio_url: str = ""
    """Address at which this server reaches Label Studio, for example `http://127.0.0.1:8080`."""

    label_studio_api_key: SecretStr = SecretStr("")
    """Access token (legacy or personal) of a Label Studio user who can see the projects."""

    label_studio_public_url: str = ""
    """Address at which browsers reach Label Studio, if it differs; Label Studio writes it into tasks of a storage."""

    image_hosts: str = ""
    """Hosts from which tasks may load images by https, comma separated; prefix a host with `http://` to allow http."""

    private_networks: Annotated[str, AfterValidator(networks)] = ""
    """Private networks of images, webhooks' receivers and the PACS, comma separated, for example `10.1.0.0/16`."""

    download_seconds: float = Field(120.0, gt=0)
    """Time limit of the download of one image, in seconds."""

    download_bytes_per_second: int = Field(32 * 2**10, ge=0)
    """Least rate of such a download, in bytes per second, required from 5 s after its first byte on; 0: any."""

    download_cache_bytes: int = Field(2 * 2**30, ge=0)
    """Disk space for downloaded images, in bytes; 0: no cache."""

    mammogram_root: Path | None = None
    """Folder of the DICOM files that tasks may name; None: images are loaded through Label Studio only."""

    twin_root: Path | None = None
    """Folder that Label Studio serves as local files (its `LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT`), for the twins."""

    patient_secret: SecretStr = SecretStr("")
    """Key of the hash that turns a DICOM PatientID into a patient key; required to import DICOM."""

    threads: int = Field(0, ge=0)
    """CPU threads of the networks; 0: torch chooses."""

    runtime: Literal["auto", "torch", "openvino", "openvino-bf16"] = "auto"
    """Runtime of the networks: `auto` is torch on a GPU, else OpenVINO if its results match torch."""

    thresholds: dict[int, Annotated[float, Field(gt=0, lt=1)]] = Field(default_factory=dict)
    """Lowest detector score by project, as JSON, for projects that need another one than the model's: `{"12": 0.3}`."""

    blind_shares: dict[int, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    """Share of tasks without a prelabel by project, as JSON: `{"12": 0.1}`; the control arm of edit effort."""

    stage_rules: dict[int, dict[str, float]] = Field(default_factory=dict)
    """Fields of `mammo.stages.StageRules` to override by project, as JSON: `{"12": {"least_images": 100}}`."""

    service_api_key: SecretStr = SecretStr("")
    """Token of the Label Studio account, not a person's, that submits annotations in the automatic stage."""

    train_on_automatic: bool = False
    """Also train on automatic annotations, which no person has reviewed; they are never used for evaluation."""

    embedding_memory_bytes: int = Field(256 * 2**20, ge=0)
    """Memory for embedded regions, in bytes: a click inside one is answered without encoding again; 0: no cache."""

    embedding_disk_bytes: int = Field(2 * 2**30, ge=0)
    """Disk space for embedded regions in `data_dir`, in bytes; they outlive the process; 0: no cache."""

    evaluation_cache_bytes: int = Field(64 * 2**20, ge=0)
    """Disk space for what model versions found on the images of evaluations, in `data_dir`, in bytes; 0: no cache."""

    max_image_bytes: int = Field(256 * 2**20, ge=2**20)
    """Largest accepted image file, in bytes."""

    max_body_bytes: int = Field(64 * 2**20, ge=2**16)
    """Largest accepted request body, in bytes."""

    reconcile_seconds: float = Field(600.0, ge=0)
    """Interval at which the backend reconciles its store with Label Studio, in seconds, and at start-up; 0: never."""

    predict_seconds: float = Field(75.0, gt=0)
    """Time limit of one `/predict`, in seconds (Label Studio waits 100 s); remaining tasks are finished afterwards."""

    refresh_seconds: float = Field(600.0, gt=0)
    """Time after which the new prelabels of a promotion let other jobs of the queue go first, in seconds."""

    prefetch_tasks: int = Field(4, ge=0)
    """New tasks of an import that the idle backend prelabels before they are opened; 0: none."""

    project_models: Annotated[str, AfterValidator(pins)] = ""
    """Projects pinned to a model version, comma separated, for example `3=m0002-3fa9c2d1,7=m0005-91c04ab7`; they go
    before pins made on the console or with `models pin`."""

    shadow: str = Field("", pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$")
    """`challenger` or a model version that predicts silently beside the champion; empty: none."""

    brush_projects: Annotated[str, AfterValidator(project_ids)] = ""
    """Projects whose masks are sent as brush regions instead of outlines, comma separated, for example `3,7`."""

    reload_seconds: float = Field(2.0, gt=0)
    """Interval at which the backend checks for a new champion, in seconds."""

    log_level: str = "INFO"
    """Lowest level that is logged: DEBUG, INFO, WARNING or ERROR."""

    @field_validator("label_studio_url", "label_studio_public_url", "s3_endpoint")
    @classmethod
    def _address(cls, value: str) -> str:
        if value and not re.match(r"https?://[^/]", value):
            raise ValueError("expected an address that starts with http:// or https://")
        return value.rstrip("/")

    @field_validator("database_url")
    @classmethod
    def _database_address(cls, value: str) -> str:
        if value and not value.startswith(("sqlite:///", "postgresql+psycopg://")):
            raise ValueError("expected sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME")
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis_address(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("expected redis://, rediss:// or unix://")
        return value

    @model_validator(mode="after")
    def _bucket_keys(self) -> Self:
        if self.blob_store and not (self.s3_access_key and self.s3_secret_key.get_secret_value()):
            raise ValueError(f"BLOB_STORE needs {PREFIX}S3_ACCESS_KEY and {PREFIX}S3_SECRET_KEY")
        return self

    @model_validator(mode="after")
    def _header_of_a_proxy(self) -> Self:
        if self.user_header and not self.trusted_proxies:
            raise ValueError(f"USER_HEADER needs {PREFIX}TRUSTED_PROXIES: it counts from those only")
        return self

    @field_validator("auth_password", "webhook_secret", "label_studio_api_key", "service_api_key")
    @classmethod
    def _sendable(cls, value: SecretStr) -> SecretStr:
        return SecretStr(sendable(value.get_secret_value()))

    @property
    def api_key_digests(self) -> tuple[str, ...]:
        """Lower-case SHA-256 of every accepted API key."""
        return tuple(
            each.strip().lower() for each in self.api_keys.get_secret_value().split(",") if each.strip()
        )

    @property
    def brush_project_ids(self) -> frozenset[int]:
        """Projects whose masks are sent as brush regions."""
        return frozenset(int(each) for each in self.brush_projects.split(",") if each.strip())

    @property
    def pinned_models(self) -> dict[int, str]:
        """Model version by project, for projects that do not follow the champion."""
        pairs = (each.partition("=") for each in self.project_models.split(",") if each.strip())
        return {int(project): version.strip() for project, _, version in pairs}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> Sources:
        names = {f"{PREFIX}{name.upper()}": field for name, field in settings_cls.model_fields.items()}
        paths = [name for name, field in names.items() if field.annotation in (Path, Path | None)]
        named = (env_settings() | init_settings()).get("site")
        file = find_site_file(Path(named) if named else None)
        values = {} if file is None else read_site_file(file, variables=names.keys() - {SITE}, paths=paths)
        if file is not None:
            values[SITE] = str(file)
        return sources(settings_cls, arguments=init_settings, environment=env_settings, site_file=values)

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the settings from the environment, the files in `YOLO_MLSAM_SECRETS_DIR`, and the settings file.

        Args:
            overrides: Settings by name, in place of the environment's.

        Raises:
            InvalidSettings: A variable is invalid, or the settings file cannot be used; the message names the variable,
                never its value.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # of a folder that is missing, or no file in it
                return cls(**overrides)
        except ValidationError as error:
            raise InvalidSettings(validation_problem(error, prefix=PREFIX)) from None
        except (SettingsError, UserWarning) as error:
            raise InvalidSettings(source_problem(error, prefix=PREFIX)) from None

    @property
    def database(self) -> str:
        """SQLAlchemy URL of the database in use."""
        return self.database_url or f"sqlite:///{quote(str((self.data_dir / 'yolo-mlsam.db').resolve()))}"

    @property
    def annotator_secret(self) -> bytes:
        """Key of the annotators' pseudonyms."""
        return (self.patient_secret.get_secret_value() or self.webhook_secret.get_secret_value()).encode()

    @property
    def blobs(self) -> Path | Bucket:
        """Folder or bucket of the blobs."""
        if not self.blob_store:
            return self.data_dir / "blobs"
        name, _, prefix = self.blob_store.removeprefix("s3://").partition("/")
        return Bucket(
            name, prefix.strip("/"), self.s3_endpoint, self.s3_region, self.s3_access_key, self.s3_secret_key
        )

    @property
    def exported(self) -> Path:
        """Folder of exported networks."""
        return self.data_dir / "exported"

    @property
    def embeddings(self) -> Path:
        """Folder of the segmenter's embedded regions."""
        return self.data_dir / "embeddings"

    @property
    def evaluations(self) -> Path:
        """Folder of what model versions found on the images of evaluations."""
        return self.data_dir / "evaluations"

    @property
    def runs(self) -> Path:
        """Folder of training runs."""
        return self.data_dir / "runs"

    @property
    def models(self) -> Path:
        """Folder to which model files are copied and verified for loading."""
        return self.data_dir / "models"
