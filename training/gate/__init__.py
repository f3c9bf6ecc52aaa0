"""The gate: whether a dataset version is worth a training, and whether a challenger replaces the champion."""
