"""The retrain: corrections become a dataset version, a challenger, and a verdict."""
