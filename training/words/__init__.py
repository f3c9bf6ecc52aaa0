"""Whether a model may propose words of BI-RADS in a project: a head is fitted on its corrections, and measured.

softmax.py     a softmax regression, its penalty and temperature chosen by folds of patients
examples.py    what people said about findings that a model outlined
figures.py     confusion matrix, recall, precision and calibration on patients that the head has not seen
rule.py        which words may be proposed, and what is missing for the others
fitting.py     these together: a project's head as JSON, which `mammo.words` keeps and uses
"""
