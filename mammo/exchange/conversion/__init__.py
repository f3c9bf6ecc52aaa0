"""Conversion of a project of one-image tasks into a project of exams.

translation.py   the results of one image, for one view of an exam, without any change of a finding
merging.py       the annotations and predictions of the images of an exam, as those of its task
plan.py          which tasks become which exam, and why others cannot
moving.py        the new project
"""
