"""`yolo-mlsam doctor`: the checks of `mammo.doctor`, and those that need the rules of training.

annotation_checks  labels that are ignored, annotations that are refused
command            run the checks, repair, print
"""
