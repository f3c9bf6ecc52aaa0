"""The retrain: from corrections to a dataset version, a challenger and a verdict."""
