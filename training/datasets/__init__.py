"""Dataset versions: immutable training data from corrections, split by patient."""
