"""Data sets people already have become tasks with annotations and patient keys.

    contents.py    one image of a data set, and tables and paths from outside
    reading.py     read a data set, and count what came in
    patients.py    what paths say about patients, and what they do not
    round_trip.py  what a project's tools make of findings, read back before it is written
    tasks.py       one image becomes a task with its annotation
    cbis_ddsm.py   CSV tables and DICOM masks
    inbreast.py    DICOM and outlines in XML property lists
    vindr.py       DICOM and boxes in a CSV table
    mias.py        PGM and circles in Info.txt
    coco.py        any images and one COCO JSON
    folder.py      a folder of images and one of masks (masks.py: however a tool writes them)
    yolo.py        any images and YOLO's labels

Each reader is written against the data set's documented layout. None of the data is part of this project.
"""
