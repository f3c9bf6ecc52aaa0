"""The adaptation: from background images without any annotation to a challenger and a verdict."""
