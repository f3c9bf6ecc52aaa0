"""Fine-tuning of the detector."""
