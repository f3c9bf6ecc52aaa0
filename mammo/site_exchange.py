"""Exchange of an installation: Label Studio and the images of its tasks, the PACS, imports and exports.

The part of the composition root (`mammo.site`) through which images and annotations come and go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from mammo.errors import InvalidSettings
from mammo.site_storage import SiteStorage

if TYPE_CHECKING:
    from pathlib import Path

    from mammo.exchange.export.labelled_image import LabelledImage, Refusal
    from mammo.exchange.import_target import ImportTarget, Screen
    from mammo.exchange.importing import Rules
    from mammo.images.image_downloads import ImageDownloads
    from mammo.images.task_images import TaskImages
    from mammo.labelstudio import LabelStudioClient
    from mammo.labelstudio.project_tags import ProjectTags
    from mammo.pacs import PacsClient, Retriever, UidMap
    from mammo.pacs.import_log import ImportLog
    from mammo.pacs.importer import PacsImporter
    from mammo.pacs.results import PacsResults


@dataclass(frozen=True, kw_only=True)
class SiteExchange(SiteStorage):
    """What an installation exchanges with Label Studio and a PACS. Each part is built when it is first used."""

    @cached_property
    def label_studio(self) -> LabelStudioClient | None:
        """None if Label Studio's address or API key is not set."""
        from mammo.labelstudio import LabelStudioClient

        key = self.settings.label_studio_api_key.get_secret_value()
        if not self.settings.label_studio_url or not key:
            return None
        return LabelStudioClient(self.settings.label_studio_url, key)

    @property
    def client(self) -> LabelStudioClient:
        """Raises InvalidSettings: Label Studio's address or API key is not set."""
        if self.label_studio is None:
            raise InvalidSettings(
                "set YOLO_MLSAM_LABEL_STUDIO_URL and YOLO_MLSAM_LABEL_STUDIO_API_KEY: "
                "this needs Label Studio's tasks and annotations"
            )
        return self.label_studio

    @cached_property
    def service_account(self) -> LabelStudioClient:
        """Client with the account of automatic annotations; raises InvalidSettings: its token is not set."""
        from mammo.labelstudio import LabelStudioClient

        key = self.settings.service_api_key.get_secret_value()
        if not self.settings.label_studio_url or not key:
            raise InvalidSettings(
                "set YOLO_MLSAM_SERVICE_API_KEY: the automatic stage submits annotations with this token"
            )
        return LabelStudioClient(self.settings.label_studio_url, key)

    @cached_property
    def tags(self) -> ProjectTags:
        """Control tags by project. Without Label Studio, every project is refused."""
        from mammo.labelstudio.project_tags import ProjectTags

        return ProjectTags(self.label_studio)

    @cached_property
    def downloads(self) -> ImageDownloads:
        """Raises InvalidSettings: the list of image hosts cannot be parsed; StorageUnavailable: see `data_dir`."""
        from mammo.images.image_downloads import ImageDownloads

        _ = self.data_dir
        return ImageDownloads.of(self.settings, self.label_studio)

    @cached_property
    def images(self) -> TaskImages:
        from mammo.images.task_images import TaskImages

        return TaskImages(
            root=self.settings.mammogram_root,
            downloads=self.downloads,
            patient_secret=self.settings.patient_secret.get_secret_value().encode() or None,
            max_bytes=self.settings.max_image_bytes,
        )

    @cached_property
    def pacs(self) -> PacsClient:
        """Raises InvalidSettings: no PACS is set, or one of its certificates cannot be read."""
        return self._pacs_client(somebody_waits=False)

    @cached_property
    def pacs_for_people(self) -> PacsClient:
        """The client for searches that somebody waits for; raises as `pacs`."""
        return self._pacs_client(somebody_waits=True)

    def _pacs_client(self, *, somebody_waits: bool) -> PacsClient:
        from mammo.pacs import PacsClient

        return PacsClient.of(self.settings, somebody_waits=somebody_waits)

    @cached_property
    def pacs_uids(self) -> UidMap:
        """Which image of the PACS an image of the site is. Raises InvalidSettings: the patient secret is not set."""
        from mammo.pacs import UidMap

        return UidMap(self.engine, self.require_patient_secret())

    @cached_property
    def pacs_imports(self) -> ImportLog:
        """The imports that were asked for. Raises InvalidSettings: the patient secret is not set."""
        from mammo.pacs.import_log import ImportLog

        return ImportLog(self.engine, self.require_patient_secret())

    def pacs_retriever(self, *, keeps_identity: bool) -> Retriever:
        """Return what makes files of images of the PACS, in the folder `pacs` of the mammograms.

        Raises:
            InvalidSettings: PACS, folder or patient secret are not set, or the secret is too short.
        """
        from mammo.pacs import Retriever

        try:
            return Retriever(
                self.pacs,
                self.pacs_uids,
                folder=self.require_mammogram_root() / "pacs",
                scratch=self.data_dir,
                secret=self.require_patient_secret(),
                max_bytes=self.settings.max_image_bytes,
                keeps_identity=keeps_identity,
            )
        except ValueError as error:
            raise InvalidSettings(f"YOLO_MLSAM_PATIENT_SECRET: {error}") from None

    @cached_property
    def pacs_results(self) -> PacsResults:
        """Results for the PACS; one is needed only when they are sent."""
        from mammo.pacs.outbox import ResultOutbox
        from mammo.pacs.results import PacsResults, originals_of

        is_mapped = bool(
            self.settings.patient_secret.get_secret_value()
        )  # without one, no file was de-identified
        return PacsResults(
            outbox=ResultOutbox(self.engine),
            pacs=lambda: self.pacs,
            originals=lambda instances: originals_of(self.pacs_uids.find, instances) if is_mapped else {},
        )

    def import_target(
        self,
        project: int,
        *,
        rules: Rules,
        twins: Path | None = None,
        screen: Screen | None = None,
        show_year: bool = False,
    ) -> ImportTarget:
        """Return a project that takes mammograms.

        Args:
            rules: files that are accepted although they are refused by default.
            twins: folder that Label Studio serves as local files; None: that of the settings.
            screen, show_year: see `ImportTarget`.

        Raises:
            InvalidSettings: a folder or the secret is not set, or the project shows something else.
            LabelStudioError: Label Studio does not answer or refuses.
        """
        from mammo.exchange.import_target import ImportTarget
        from mammo.exchange.importing import ImportOptions

        options = ImportOptions(
            root=self.require_mammogram_root(),
            twins=twins or self.require_twin_root(),
            patient_secret=self.require_patient_secret(),
            rules=rules,
        )
        return ImportTarget.of(self.client, project, options=options, screen=screen, show_year=show_year)

    def pacs_importer(self, target: ImportTarget) -> PacsImporter:
        """Return what imports from the PACS into a project; raises InvalidSettings as `pacs_retriever`."""
        from mammo.pacs.importer import PacsImporter

        keeps_identity = target.options.rules.allow_identified
        return PacsImporter(
            pacs=self.pacs,
            retriever=self.pacs_retriever(keeps_identity=keeps_identity),
            target=target,
            engine=self.engine,
            connections=self.settings.pacs_connections,
            keeps_identity=keeps_identity,
        )

    def labelled_images(self, project: int, *, comments: bool = False) -> Iterator[LabelledImage | Refusal]:
        """Yield the images of a project's annotated tasks, for export; see `mammo.exchange.export.project`.

        Args:
            comments: with what people wrote about findings, which may name a patient.

        Without a secret, a pseudonym of an annotator could be reversed, so there is none.
        """
        from mammo.efforts.effort_records import annotator_pseudonym
        from mammo.exchange.export.project import read_project

        secret = self.settings.annotator_secret
        return read_project(
            self.client,
            project,
            self.images,
            weights=self.weights_of,
            pseudonym=lambda user: annotator_pseudonym(user, secret=secret) if secret else "",
            comments=comments,
        )
