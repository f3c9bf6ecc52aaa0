"""The command line, `yolo-mlsam`. Commands import the lower layers only when they run, so that `--help` is fast."""
