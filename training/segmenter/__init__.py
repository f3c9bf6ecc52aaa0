"""Fine-tuning of the segmenter."""
