"""Export of findings by a model or by annotators as DICOM results, COCO, YOLO or PNG.

labelled_image.py  LabelledImage: one image with its findings; Refusal
prelabels.py       images from the JSON files of `yolo-mlsam prelabel`
project.py         images from the annotations of a Label Studio project
file_names.py      names of the exported files
dicom_results.py   segmentations and structured reports, as bytes
formats.py         writers of the formats
"""
