"""Benchmarks of speed and memory, as ratios to a named baseline of the same run; never asserted in tests.

`make bench` runs all of them, `make bench ARGS="brush_rle"` one. Each module has a `run()` that returns a `Result`.
"""
