"""The figures of docs/evidence.md: detectors on real mammograms, on clusters inserted into them, and on phantoms."""
