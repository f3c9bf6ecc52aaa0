"""Learning curves are kept as they were computed, and an equal one is not kept twice."""

import sqlalchemy as sa

from mammo.database import learning_curve, reading
from mammo.learning_curves import LearningCurves


def test_the_newest_curve_of_a_project_is_read_back(any_engine):
    curves = LearningCurves(any_engine)
    assert curves.newest(4) is None
    for run, points in (("one", [1]), ("two", [1, 2]), ("three", [1, 2])):
        curves.append(4, {"points": points}, run=run)
    curves.append(5, {"points": []}, run="other")
    newest = curves.newest(4)
    assert (newest["points"], newest["run"]) == ([1, 2], "two")
    with reading(any_engine) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(learning_curve)) == 3
