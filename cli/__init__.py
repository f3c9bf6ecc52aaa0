"""`yolo-mlsam`, the one command. The top layer: everything below it is imported lazily, so `--help` is quick."""
