"""A second look: labels that are probably wrong, because a model that did not learn from them disagrees.

model_agreement  how often model and labels agree, by which a disagreement is judged
doubts       where prediction and label of one image disagree, and how strongly
unlearned    the patients from whom a model version learned
predictions  what labels are compared with; the stored predictions that may be used for it
predicting   predictions of tasks by models that did not learn from their patients
listing      the doubted labels of a dataset version, strongest doubt first
differing    labels of which two readers' readings differ
"""

from mammo.second_looks import Cause
from training.second_look.doubts import Doubt, doubts
from training.second_look.listing import DoubtedLabel, SecondLook, second_look
from training.second_look.model_agreement import ModelAgreement
from training.second_look.predictions import Predictions, stored_predictions

__all__ = [
    "Cause",
    "Doubt",
    "DoubtedLabel",
    "ModelAgreement",
    "Predictions",
    "SecondLook",
    "doubts",
    "second_look",
    "stored_predictions",
]
