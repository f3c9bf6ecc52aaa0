"""`yolo-mlsam reading`: double reading by two blind readers and an arbiter."""
