"""Every exception this system raises on purpose.

    MammoError                     something in the world is wrong; `code` is stable, the message is for a person
    ├── InvalidSettings            the environment does not describe a runnable service
    ├── UnreadableImage            bytes that are no image we accept (`code` says which check failed)
    │   └── UnsupportedImage       a valid file of a kind we refuse: tomosynthesis, CT, colour ...
    ├── ImageNotFound              a task names an image that is not there or may not be read
    ├── ImageUnavailable           an image's server does not answer now; it may later
    ├── InvalidTaskData            a task, table or file states a patient, spacing, breast or view that cannot be read
    ├── InvalidRegion              a Label Studio region that cannot be a finding
    ├── InvalidPrompt              boxes and points that cannot prompt the segmenter in this image
    ├── LabelStudioError           Label Studio refused or did not answer
    ├── InvalidWeights             a weights file with a wrong hash, specification or tensor
    ├── WeightsUnavailable         public weights that are not here and could not be fetched
    ├── UnusableRuntime            a runtime that cannot run the network, or computes something else than torch
    ├── UnknownAnnotation          an annotation that nothing was ever told of
    ├── UnknownReading             a project that is not read twice
    ├── ReadingConflict            a double reading that cannot be what is asked for, or is being worked on now
    ├── ModelNotFound              a model version or alias that the registry does not hold
    ├── PromotionConflict          the champion moved while somebody else was promoting
    ├── StageRefused               a project may not change to that stage now
    ├── NeverTrainedFrom           a project from whose annotations no model may learn
    ├── UnknownRun                 a run that there is none of
    ├── RunConflict                a run that cannot be cancelled or resumed as it is now
    ├── InsufficientData           too few corrections, patients or positives to train or to judge
    ├── InvalidTrainingData        material that must not be trained on: a foreign label, a patient in two folds ...
    ├── TrainingDiverged           a loss that is no number any more
    ├── InvalidCheckpoint          a run folder holds the checkpoint of another run
    ├── ProcessKilled              one of the processes that train together was killed from outside
    ├── StorageUnavailable         the database or the blob store cannot take a write now
    └── Cancelled                  a person or the service stopped a run

A caller's mistake is a `ValueError`; ours is an `assert`.
"""

from __future__ import annotations


class MammoError(Exception):
    """Base of all deliberate errors. The message says what came, what is allowed and what to do."""

    code = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
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


class InvalidWeights(MammoError):
    code = "invalid_weights"


class InvalidBundle(MammoError):
    code = "invalid_bundle"


class WeightsUnavailable(MammoError):
    code = "weights_unavailable"


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


class StageRefused(MammoError):
    code = "stage_refused"


class NeverTrainedFrom(MammoError):
    code = "never_trained_from"


class UnknownRun(MammoError):
    code = "unknown_run"


class RunConflict(MammoError):
    code = "run_conflict"


class InsufficientData(MammoError):
    code = "insufficient_data"


class InvalidTrainingData(MammoError):
    code = "invalid_training_data"


class TrainingDiverged(MammoError):
    code = "training_diverged"


class InvalidCheckpoint(MammoError):
    code = "invalid_checkpoint"


class ProcessKilled(MammoError):
    code = "process_killed"


class StorageUnavailable(MammoError):
    code = "storage_unavailable"


class Cancelled(MammoError):
    code = "cancelled"
