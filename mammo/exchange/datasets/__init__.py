"""Data sets, read as images with findings and patients, and written as tasks with annotations.

    reading.py      read_dataset: every image with its findings, and what was refused
    contents.py     DatasetImage, DatasetOptions; validation of tables and paths
    patients.py     patients in the paths of files
    categories.py   the categories that mean a cluster
    round_trip.py   the regions of findings, read back before they are written
    tasks.py        TaskWriter: one image or exam becomes a task with an annotation
    exams.py        the images of a project whose tasks show exams, grouped
    named_files.py  the image file that a document names
    json_files.py   JSON with unique keys
    masks.py        mask images of other tools

One reader per data set, written against its documented layout:

    cbis_ddsm.py    CSV tables and DICOM masks
    inbreast.py     DICOM and outlines in XML property lists
    vindr.py        DICOM and boxes in a CSV table
    mias.py         PGM and circles in Info.txt
    coco.py         any images and one COCO JSON file
    folder.py       a folder of images and a folder of masks
    yolo.py         any images and YOLO labels

None of the data is part of this project.
"""
