"""Storage of an installation: its folder, database, blobs, registry of models and background images.

The part of the composition root (`mammo.site`) that needs neither Redis nor Label Studio.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from mammo.database import open_database, sqlite_file
from mammo.disk_reserve import DiskReserve
from mammo.errors import InvalidSettings, MammoError, ModelNotFound, StorageUnavailable
from mammo.private_files import make_private, make_private_file
from mammo.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from mammo.annotations import AnnotationStore
    from mammo.backgrounds import Backgrounds
    from mammo.blobs import Blobs
    from mammo.learning_curves import LearningCurves
    from mammo.models import ModelFiles, ModelRegistry, ProjectPins, ProvisionalModels
    from mammo.pipeline import Prelabeller
    from mammo.runs import Runs
    from mammo.segmenter import EmbeddingCache
    from mammo.verdicts.archive import VerdictArchive
    from mammo.words.head import WordHead
    from mammo.words.records import WordHeads

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class SiteStorage:
    """What an installation keeps. Safe to share between threads once its components are built."""

    settings: Settings

    creates: bool = False
    """Whether to create the data folder and the database, to migrate it, and to register the starter. Only commands
    that set an installation up or add to it may do so (`serve`, `work`, `models import`, `weights add`, `backgrounds
    add`, `doctor --fix`); any other refuses if they are missing."""

    @cached_property
    def data_dir(self) -> Path:
        """The data folder, which nobody else may access; made if this process may make it.

        Raises:
            StorageUnavailable: others may access it, and that cannot be changed from here (code
                `data_folder_not_private`), or it cannot be made.
        """
        folder, database = self.settings.data_dir, sqlite_file(self.settings.database)
        make_private(folder, create=self.creates)
        if database is not None and database.parent != folder.resolve():
            for suffix in ("", "-wal", "-shm"):
                make_private_file(database.with_name(database.name + suffix))
        return folder

    @cached_property
    def engine(self) -> Engine:
        """Raises StorageUnavailable: the database does not exist, is of another release, or does not answer."""
        _ = self.data_dir
        if self.creates:
            self.reserve_space()
        return open_database(self.settings.database, create=self.creates)

    def reserve_space(self) -> None:
        """Set disk space aside for decisions on a full disk, if there is ample room. Never raises."""
        if (database := sqlite_file(self.settings.database)) is not None:
            DiskReserve(database).fill()

    def make_room(self) -> None:
        """Before a decision is recorded: use a part of the space set aside, if the disk is full. Never raises."""
        if (database := sqlite_file(self.settings.database)) is not None:
            DiskReserve(database).release()

    @property
    def has_database(self) -> bool:
        """Whether there is a SQLite file, or the address of a database server is set."""
        return bool(self.settings.database_url) or (self.settings.data_dir / "yolo-mlsam.db").is_file()

    @cached_property
    def store(self) -> AnnotationStore:
        from mammo.annotations import AnnotationStore

        return AnnotationStore(self.engine)

    @cached_property
    def blobs(self) -> Blobs:
        from mammo.blobs import Blobs

        _ = self.data_dir
        return Blobs(self.settings.blobs)

    @cached_property
    def run_records(self) -> Runs:
        """The runs as rows: to look at them needs no queue."""
        from mammo.runs import Runs

        return Runs(self.engine)

    @cached_property
    def verdicts(self) -> VerdictArchive:
        from mammo.verdicts.archive import VerdictArchive

        return VerdictArchive(self.run_records, self.blobs)

    @cached_property
    def backgrounds(self) -> Backgrounds:
        """The background images of trainings; in the data folder of each host."""
        from mammo.backgrounds import Backgrounds

        return Backgrounds(self.data_dir / "backgrounds")

    @property
    def public_weights(self) -> Path:
        """Folder of public weights, as downloaded and as converted; in the data folder of each host."""
        return self.data_dir / "public-weights"

    @cached_property
    def registry(self) -> ModelRegistry:
        from mammo.models import STARTER, ModelRegistry

        registry = ModelRegistry(self.engine, self.settings.blobs)
        if self.creates:
            try:
                registry.ensure_starter(STARTER)
            except MammoError as error:
                log.warning("the starter model could not be registered", code=error.code)
        return registry

    def weights_of(self, version: str) -> tuple[str, ...]:
        """Return the SHA-256 of a model version's weight files, each after what it is for; empty if unknown here."""
        from mammo.models import PARTS

        try:
            manifest = self.registry.manifest(version) if self.has_database else {}
        except (ModelNotFound, StorageUnavailable):
            return ()
        return tuple(f"{part} {manifest[part]['sha256']}" for part in PARTS if part in manifest)

    @cached_property
    def provisional(self) -> ProvisionalModels:
        """The provisional models that serve a project instead of the champion."""
        from mammo.models import ProvisionalModels

        return ProvisionalModels(self.engine)

    @cached_property
    def pins(self) -> ProjectPins:
        """The projects that are kept on one model version, by the settings or by a person."""
        from mammo.models import ProjectPins

        return ProjectPins(self.engine, self.registry, settings=self.settings.pinned_models)

    @cached_property
    def learning_curves(self) -> LearningCurves:
        from mammo.learning_curves import LearningCurves

        return LearningCurves(self.engine)

    @cached_property
    def word_heads(self) -> WordHeads:
        """The heads that propose words of BI-RADS, most of them switched off."""
        from mammo.words.records import WordHeads

        return WordHeads(self.engine)

    def word_head(self, project: int | None) -> WordHead | None:
        """Return the head that proposes words in a project; None: none does, or it cannot be read now. Never raises.

        Without it a prelabel is whole: a person says the words.
        """
        try:
            return None if project is None else self.word_heads.serving(project)
        except MammoError as error:
            log.warning("words are not proposed", project=project, code=error.code)
            return None

    def own_models(self) -> dict[int, str]:
        """Return the version of each project that does not follow the champion: its pin's, else a provisional one."""
        return self.provisional.versions() | self.pins.versions()

    def load_model(self, version: str, *, embeddings: EmbeddingCache | None = None) -> Prelabeller:
        """Load a model version of the registry into this process.

        Raises:
            ModelNotFound: there is no such version.
            InvalidWeights: its files are damaged.
        """
        return self.load_files(self.registry.files(version, into=self.settings.models), embeddings=embeddings)

    def load_files(self, files: ModelFiles, *, embeddings: EmbeddingCache | None = None) -> Prelabeller:
        """Load a model version from its files; raises InvalidWeights: they are damaged."""
        from mammo.pipeline import Prelabeller  # torch takes seconds to import

        settings = self.settings
        return Prelabeller.load(
            files,
            threads=settings.threads,
            runtime=settings.runtime,
            exported=settings.exported if settings.data_dir.is_dir() else None,
            embeddings=embeddings,
        )

    def model_files(self, model: str) -> ModelFiles:
        """Return the files of a model version, checked against their SHA-256.

        Args:
            model: `champion`, `starter` or a version of the registry. Without a registry or a champion, `champion`
                is the starter.

        Raises:
            ModelNotFound: there is no such version.
            InvalidWeights: its files are damaged.
        """
        from mammo.models import CHAMPION
        from mammo.models.starter_files import starter_files

        starter = starter_files()
        if model in ("starter", starter.version) or (model == "champion" and not self.has_database):
            return starter
        if not self.has_database:
            raise ModelNotFound(
                f"model {model!r} is not here: {self.settings.data_dir} holds no registry; "
                "set YOLO_MLSAM_DATA_DIR to the service's data folder, or use --model starter"
            )
        if model == "champion":
            if (champion := self.registry.alias(CHAMPION)) is None:
                return starter
            model = champion.version
        return self.registry.files(model, into=self.settings.models)

    def require_patient_secret(self) -> bytes:
        """Return the secret of the patient keys; raises InvalidSettings: it is not set."""
        secret = self.settings.patient_secret.get_secret_value().encode()
        if not secret:
            raise InvalidSettings("set YOLO_MLSAM_PATIENT_SECRET: the images of a patient are grouped by it")
        return secret

    def require_twin_root(self) -> Path:
        """Return the folder of the 8-bit twins; raises InvalidSettings: it is not set."""
        if self.settings.twin_root is None:
            raise InvalidSettings(
                "set YOLO_MLSAM_TWIN_ROOT to the folder that Label Studio serves, or give --twins"
            )
        return self.settings.twin_root

    def require_mammogram_root(self) -> Path:
        """Return the folder of the DICOM files; raises InvalidSettings: it is not set."""
        if self.settings.mammogram_root is None:
            raise InvalidSettings("set YOLO_MLSAM_MAMMOGRAM_ROOT to the folder of the mammograms")
        return self.settings.mammogram_root
