"""The mammogram of a Label Studio task: from its DICOM file, from Label Studio, or downloaded within limits."""
