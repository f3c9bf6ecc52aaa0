"""De-identification (DICOM PS3.15 Annex E): a mammogram that names its patient becomes one that does not."""
