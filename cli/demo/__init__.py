"""The whole loop on one machine, with real parts: phantoms, Label Studio, corrections, retraining, gate, hot reload."""
