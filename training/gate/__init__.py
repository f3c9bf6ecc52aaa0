"""The gate: whether a dataset version suffices for a retrain, and whether a challenger replaces the champion."""
