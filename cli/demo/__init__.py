"""The whole loop on one machine, real parts only: phantoms, Label Studio, corrections, retraining, gate, hot reload."""
