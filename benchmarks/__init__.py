"""Speed and memory, as ratios against a named baseline of the same run; never asserted in tests.

`make bench` runs all, `make bench ARGS="brush_rle"` some. Each module has a `run()` that returns one `Result`.
"""
