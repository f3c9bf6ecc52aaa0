"""All deliberate exceptions of this system.

    MammoError                     an error outside of the code; `code` is stable, the message is for a person
    ├── InvalidSettings            the environment does not describe a runnable service
    ├── UnreadableImage            bytes that are no acceptable image (`code` names the failed check)
    │   └── UnsupportedImage       a valid file of an unsupported kind: tomosynthesis, CT, colour ...
    ├── ImageNotFound              a task names an image that does not exist or must not be read
    ├── ImageUnavailable           an image's server does not respond now
    ├── InvalidTaskData            a patient, spacing, laterality or view of a task, table or file cannot be read
    ├── InvalidRegion              a Label Studio region cannot be interpreted as a finding
    ├── InvalidPrompt              boxes and points cannot prompt the segmenter in this image
    ├── LabelStudioError           Label Studio refused or did not respond
    ├── PacsError                  the PACS refused or did not respond, or sent something else than it was asked for
    ├── InvalidBundle              a bundle of a model version is damaged, or no trusted key signed it
    ├── InvalidWeights             a weight file has a wrong hash, specification or tensor
    ├── WeightsUnavailable         public weights are unknown or have not been added
    ├── WrongFile                  a public file is missing, or does not have the SHA-256 that it is pinned to
    ├── FileUnavailable            a public file could not be downloaded
    ├── UnusableRuntime            a runtime cannot run the network, or its results differ from torch
    ├── UnknownAnnotation          the annotation store has no event of an annotation
    ├── UnknownReading             a project has no double reading
    ├── ReadingConflict            a double reading conflicts with the request, or another step of it is running
    ├── ModelNotFound              the registry does not have a model version or alias
    ├── PromotionConflict          the champion has moved since a promotion was decided
    ├── PinRefused                 a project cannot be pinned to a model version
    ├── StageRefused               a project must not change to the requested stage now
    ├── NeverTrainedFrom           a project must not be trained on
    ├── UnknownProject             Label Studio has no such project
    ├── UnknownRun                 there is no such run
    ├── RunConflict                a run cannot be cancelled or resumed in its state
    ├── InsufficientData           too few corrections, patients or positives to train or to evaluate
    ├── InvalidTrainingData        data that must not be trained on: a foreign label, a patient in two folds ...
    ├── InvalidBackgrounds         a set of background images is missing, damaged or changed by another process
    ├── TrainingDiverged           the loss is not a finite number
    ├── InvalidCheckpoint          a run folder contains the checkpoint of another run
    ├── ProcessKilled              one of several training processes was killed
    ├── InvalidChannel             a channel of notifications cannot be used, or there is no such channel
    ├── NotDelivered               the receiver of a notification did not take it
    ├── StorageUnavailable         the database or the blob store cannot be used now
    └── Cancelled                  a person or the service stopped a run

An invalid argument is a `ValueError`; a violated invariant of the code is an `assert`.
"""

from __future__ import annotations


class MammoError(Exception):
    """Base of all deliberate errors. The message states what was received, what is allowed and what to do.

    It may quote what came from outside. A lone surrogate in it, which no file, database or terminal takes, becomes its
    escape, such as `\\ud800`.
    """

    code = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message.encode("utf-8", "backslashreplace").decode())
        if code is not None:
            self.code = code


class InvalidSettings(MammoError):
    code = "invalid_settings"


class UnreadableImage(MammoError):
    code = "unreadable_image"


class UnsupportedImage(UnreadableImage):
    code = "unsupported_image"


class ImageNotFound(MammoError):
    code = "image_not_found"


class ImageUnavailable(MammoError):
    code = "image_unavailable"


class InvalidTaskData(MammoError):
    code = "task_data"


class InvalidRegion(MammoError):
    code = "invalid_region"


class InvalidPrompt(MammoError):
    code = "invalid_prompt"


class LabelStudioError(MammoError):
    code = "label_studio"


class PacsError(MammoError):
    code = "pacs"


class InvalidWeights(MammoError):
    code = "invalid_weights"


class InvalidBundle(MammoError):
    code = "invalid_bundle"


class WeightsUnavailable(MammoError):
    code = "weights_unavailable"


class WrongFile(MammoError):
    code = "wrong_file"


class FileUnavailable(MammoError):
    code = "file_unavailable"


class UnusableRuntime(MammoError):
    code = "unusable_runtime"


class ModelNotFound(MammoError):
    code = "model_not_found"


class UnknownAnnotation(MammoError):
    code = "unknown_annotation"


class UnknownReading(MammoError):
    code = "unknown_reading"


class ReadingConflict(MammoError):
    code = "reading_conflict"


class PromotionConflict(MammoError):
    code = "promotion_conflict"


class PinRefused(MammoError):
    code = "pin_refused"


class StageRefused(MammoError):
    code = "stage_refused"


class NeverTrainedFrom(MammoError):
    code = "never_trained_from"


class UnknownProject(MammoError):
    code = "unknown_project"


class UnknownRun(MammoError):
    code = "unknown_run"


class UnknownImport(MammoError):
    code = "unknown_import"


class ImportConflict(MammoError):
    code = "import_conflict"


class RunConflict(MammoError):
    code = "run_conflict"


class RepairRefused(MammoError):
    code = "repair_refused"


class InsufficientData(MammoError):
    code = "insufficient_data"


class InvalidTrainingData(MammoError):
    code = "invalid_training_data"


class InvalidBackgrounds(MammoError):
    code = "invalid_backgrounds"


class TrainingDiverged(MammoError):
    code = "training_diverged"


class InvalidCheckpoint(MammoError):
    code = "invalid_checkpoint"


class ProcessKilled(MammoError):
    code = "process_killed"


class InvalidChannel(MammoError):
    code = "invalid_channel"


class NotDelivered(MammoError):
    code = "not_delivered"


class StorageUnavailable(MammoError):
    code = "storage_unavailable"


class Cancelled(MammoError):
    code = "cancelled"


class InvalidAccess(MammoError):
    code = "invalid_access"
