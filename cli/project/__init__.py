"""`yolo-mlsam project`: a Label Studio project meets this service."""
