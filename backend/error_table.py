"""The table of errors and HTTP status codes. Callers get a code and a sentence; tracebacks stay in the log."""

from __future__ import annotations

from backend.answers import Json
from mammo import errors

RETRY_SECONDS = 5
"""`Retry-After` of a 503."""

STATUS: dict[type[errors.MammoError], int] = {
    errors.UnreadableImage: 422,
    errors.ImageNotFound: 404,
    errors.ImageUnavailable: 502,
    errors.InvalidTaskData: 422,
    errors.InvalidRegion: 422,
    errors.InvalidPrompt: 422,
    errors.LabelStudioError: 502,
    errors.PacsError: 502,
    errors.UnknownAnnotation: 404,
    errors.ModelNotFound: 404,
    errors.UnknownReading: 404,
    errors.ReadingConflict: 409,
    errors.PromotionConflict: 409,
    errors.PinRefused: 409,
    errors.StageRefused: 409,
    errors.NeverTrainedFrom: 409,
    errors.UnknownProject: 404,
    errors.UnknownRun: 404,
    errors.UnknownImport: 404,
    errors.RunConflict: 409,
    errors.ImportConflict: 409,
    errors.RepairRefused: 409,
    errors.InsufficientData: 409,
    errors.StorageUnavailable: 503,
    errors.Cancelled: 409,
    errors.InvalidBundle: 409,
    errors.InvalidChannel: 422,
    errors.InvalidSettings: 409,
    errors.InvalidAccess: 422,
}

STATUS_OF_CODE = {"model_not_loaded": 503, "other_model": 409, "provisional_version": 409}


def status_of(error: errors.MammoError) -> int:
    """Return the HTTP status of a MammoError; 500 for kinds that no request can cause."""
    if error.code in STATUS_OF_CODE:
        return STATUS_OF_CODE[error.code]
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def answer(code: str, message: str, *, status: int, headers: dict[str, str] | None = None) -> Json:
    """Return the response `{"error": code, "message": sentence}`."""
    retry = {"Retry-After": str(RETRY_SECONDS)} if status == 503 else {}
    return Json({"error": code, "message": message}, status, headers={**retry, **(headers or {})})
