"""`yolo-mlsam reading`: two blind readers, their agreement, and an arbiter."""
