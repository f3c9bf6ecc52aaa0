"""Phantom calcifications inserted into real mammograms without lesions: material with real texture."""
