from mammo.verdicts.strata import Stratum, by_size, by_surroundings
from tests.mammo.verdicts.records import found, image, lesion, record


def test_lesions_are_counted_by_size_and_by_who_found_them():
    lesions = tuple(lesion(10 * n, 5, diameter_mm=size) for n, size in enumerate((4.9, 5.0, 25.0, None)))
    made = record(image(lesions, (found(0, 5, lesion=0),), (found(0, 5, lesion=0), found(20, 5, lesion=2))))
    assert by_size(made) == [
        Stratum("below 5 mm", 1, 1, 1),
        Stratum("5 to 10 mm", 1, 0, 0),
        Stratum("from 20 mm", 1, 0, 1),
        Stratum("not known", 1, 0, 0),
    ]


def test_surroundings_are_thirds_of_the_breast():
    lesions = tuple(lesion(10 * n, 5, surroundings=share) for n, share in enumerate((0.0, 0.5, 1.0)))
    assert [each.lesions for each in by_surroundings(record(image(lesions)))] == [1, 1, 1]
