"""A second look: labels that are probably wrong, because a model that did not learn from them disagrees.

doubts       where prediction and label of one image disagree, and how strongly
unlearned    the patients from whom a model version learned
listing      the doubted labels of a dataset version, strongest doubt first
"""

from training.second_look.doubts import Cause, Doubt, doubts
from training.second_look.listing import DoubtedLabel, SecondLook, second_look

__all__ = ["Cause", "Doubt", "DoubtedLabel", "SecondLook", "doubts", "second_look"]
