"""`yolo-mlsam project`: create, connect and prelabel Label Studio projects."""
