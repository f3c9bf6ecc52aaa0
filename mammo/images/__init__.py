"""The mammogram of a Label Studio task: its DICOM file, or an image downloaded with limits on addresses and size."""
