"""De-identification of DICOM mammograms (PS3.15 Annex E)."""
