"""Words of BI-RADS that a model proposes: morphology and distribution, by a small head on measurements of a finding.

features.py   a finding as 35 numbers
head.py       WordHead: from these numbers to the words that it is sure of
records.py    WordHeads: the heads that were fitted, and which one proposes in a project

A head is fitted and measured in `training.words`.
"""
