"""Verdicts: why a challenger won or lost, lesion by lesion and false alarm by false alarm, with pictures.

record.py      VerdictRecord: what the gate keeps of both evaluations; a versioned JSON
places.py      lesions and false alarms, classified by what changed, worst first
crops.py       parts of a mammogram as grey pictures; shapes.py findings as boxes and outlines
strata.py      found lesions by size, and by the tissue around them
versions.py    model versions on the same held-out images
figure_names.py    the gate's figures in words
archive.py     VerdictArchive: the records and pictures of runs, as blobs
drawing.py     outlines and FROC curves as SVG
report.py      one verdict as a self-contained HTML file
"""
