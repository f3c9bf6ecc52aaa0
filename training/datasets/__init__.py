"""Dataset versions: corrections become immutable, patient-split training material."""
