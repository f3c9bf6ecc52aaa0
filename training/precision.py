"""Precision: number format of a network's forward and backward pass in training; weights and losses are float32."""

from __future__ import annotations

from typing import Literal

Precision = Literal["float32", "bfloat16"]
"""`bfloat16` is for GPUs and CPUs with avx512_bf16; on other CPUs it takes ten times as long. A recipe fixes it, not
the machine, because a run that resumes elsewhere must end with the same weights."""
