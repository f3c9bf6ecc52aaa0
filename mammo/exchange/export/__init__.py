"""Results out: masks of a model or of annotators as DICOM Segmentation, COCO, YOLO or PNG.

labelled_image.py  the value that travels: one image with its findings
prelabels.py   from the JSON files of `yolo-mlsam prelabel`
project.py     from the annotations of a Label Studio project
formats.py     to files
"""
