"""Mammograms that identify the patient in every element in which files do."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from tests.mammo.dicom.files import Stored, edited, mammogram_file
from tests.mammo.dicom.pictures import breast_picture

PLANTED = {
    "name": "Quatermain", "first name": "Hermine", "id": "PID-90817", "birth date": "19440229",
    "other id": "OLD-55123", "address": "Elm Street 17", "telephone": "+49-555-0199", "comments": "sister of Aurelia",
    "history": "biopsy 2019 in Springfield", "physician": "Frankenstein", "operator": "Igorson",
    "hospital": "St. Elsewhere", "station": "MAMMO-ROOM-3", "serial": "SN-778899", "accession": "ACC-314159",
    "description": "Screening of Hermine",
    "private": "private note 4242", "nested private": "nested secret 7777",
    "original uid": "1.2.276.0.7230010.3.1.4.271828",
    "time": "142536", "request": "REQ-161803", "overlay": "overlay text 99", "preamble": "preamble gossip",
    "high bits": "HIGHBITS", "code meaning": "Meaning of Hermine",
}  # fmt: skip
"""What must not be in any byte of an output."""


def patient_file(
    stored: Stored | None = None,
    *,
    instance: int = 1,
    view: str = "CC",
    study_date: str = "20240301",
    **options: object,
) -> bytes:
    """A conformant mammogram with all of `PLANTED` in it."""
    picture = breast_picture() if stored is None else stored

    def plant(dataset: FileDataset) -> None:
        uid = PLANTED["original uid"]
        dataset.SOPInstanceUID = f"{uid}.{instance}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{uid}.1000", f"{uid}.2000"
        dataset.file_meta.SourceApplicationEntityTitle = PLANTED["station"]
        dataset.PatientName, dataset.PatientID = f"{PLANTED['name']}^{PLANTED['first name']}", PLANTED["id"]
        dataset.PatientBirthDate, dataset.PatientAge = PLANTED["birth date"], "080Y"
        dataset.OtherPatientIDs, dataset.PatientAddress = PLANTED["other id"], PLANTED["address"]
        dataset.PatientTelephoneNumbers, dataset.PatientComments = PLANTED["telephone"], PLANTED["comments"]
        dataset.AdditionalPatientHistory = PLANTED["history"]
        dataset.ReferringPhysicianName, dataset.OperatorsName = PLANTED["physician"], PLANTED["operator"]
        dataset.InstitutionName, dataset.StationName = PLANTED["hospital"], PLANTED["station"]
        dataset.DeviceSerialNumber, dataset.AccessionNumber = PLANTED["serial"], PLANTED["accession"]
        dataset.StudyDescription = PLANTED["description"]
        dataset.ImageComments = f"{PLANTED['name']}, born {PLANTED['birth date']}"
        dataset.WindowCenterWidthExplanation = PLANTED["description"]
        dataset.ImageType = ["DERIVED", "PRIMARY", PLANTED["name"].upper()]  # a name where a code belongs
        dataset.ManufacturerModelName = f"Mammomat of {PLANTED['hospital']}"
        dataset.StudyTime = dataset.ContentTime = PLANTED["time"]
        dataset.StudyDate = dataset.ContentDate = study_date
        dataset.PatientIdentityRemoved = "NO"
        block = dataset.private_block(0x0099, "GOSSIP 1.0", create=True)
        block.add_new(0x01, "LO", PLANTED["private"])
        inner = Dataset()
        inner.RequestedProcedureID, inner.PatientName = PLANTED["request"], dataset.PatientName
        inner.private_block(0x0099, "GOSSIP 1.0", create=True).add_new(0x02, "LT", PLANTED["nested private"])
        dataset.RequestAttributesSequence = Sequence([inner])
        coded = dataset.ViewCodeSequence[0]
        coded.CodeMeaning = PLANTED["code meaning"]
        coded.private_block(0x0099, "GOSSIP 1.0", create=True).add_new(0x02, "LT", PLANTED["nested private"])
        reference = Dataset()
        reference.ReferencedSOPClassUID = dataset.SOPClassUID
        reference.ReferencedSOPInstanceUID = f"{uid}.1"
        reference.PatientID = PLANTED["id"]
        dataset.ReferencedImageSequence = Sequence([reference])
        dataset.add_new(Tag(0x6000, 0x3000), "OW", PLANTED["overlay"].encode() + b" ")
        pixels = np.frombuffer(dataset.PixelData, "<u2").copy()
        for place, letter in enumerate(PLANTED["high bits"].encode()):  # two times four bits nobody looks at
            pixels[2 * place] |= (letter >> 4) << 12
            pixels[2 * place + 1] |= (letter & 15) << 12
        dataset.PixelData = pixels.tobytes()

    data = edited(mammogram_file(picture, view=view, entropy=f"{instance}", **options), plant)
    preamble = PLANTED["preamble"].encode()
    return preamble + data[len(preamble) :]
