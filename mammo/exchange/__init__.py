"""Exchange with other programs: import of mammograms and data sets, export of annotations and prelabels.

    importing.py        mammograms become tasks
    datasets/           data sets become tasks with annotations
    task_data.py        what both share: refusal of identified files, 8-bit twins, task data
    export/             annotations and prelabels as DICOM Segmentation, COCO, YOLO or PNG
    prelabel_report.py  the JSON of `yolo-mlsam prelabel`
    overlay.py          findings drawn on a mammogram
    coco_rle.py         COCO run-length encodings

No module prints; the commands of `cli` do.
"""
