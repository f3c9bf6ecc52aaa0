import hashlib
import re
from types import SimpleNamespace

import pytest

from mammo.verdicts.record import LeftOut, Picture
from mammo.verdicts.report import write_report
from tests.mammo.verdicts.records import found, image, lesion, record, run

CONTENT = b"RIFF....WEBP"
SHA = hashlib.sha256(CONTENT).hexdigest()


def picture(sha=SHA):
    return Picture(sha256=sha, width=40, height=40, frame=(0, 0, 400, 400), bytes=len(CONTENT))


def archive(made):
    return SimpleNamespace(read=lambda run: made, picture=lambda picture: CONTENT)


def lost(**fields):
    seen = image((lesion(10, 10),), (found(10, 10, lesion=0, dice=0.7),), (found(90, 90),), **fields)
    return record(
        seen.model_copy(update={"levels": (picture(),)}),
        crops={"0.lesion.0": picture(), "0.alarm.0": picture()},
    )


def test_the_report_says_why_and_shows_each_place_with_its_outlines():
    text = write_report(run(), archive=archive(lost()))
    assert "kept old: new is not reliably better" in text
    assert "-0.100 to +0.300" in text
    assert text.index("<h3>lost: only the champion found it") < text.index("<h3>new false alarm")
    assert len(re.findall(r'<image href="data:image/webp;base64,', text)) == 3
    for role in ("truth", "champion", "challenger"):
        assert f'<path class="{role}" d="M' in text
    assert "5 mm</text>" in text or "10 mm</text>" in text
    assert "false positives per image shown" in text


def test_the_report_needs_nothing_from_outside_and_no_script():
    text = write_report(run(), archive=archive(lost()))
    assert "<script" not in text
    assert not re.findall(r'(?:href|src)="(?!data:image/webp|#)', text)
    assert "url(" not in text


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}"]
)
def test_hostile_names_are_shown_and_not_run(text):
    made = lost(patient=text, view=text).model_copy(update={"reason": text, "run": text})
    page = write_report(run(recipe=text), archive=archive(made))
    assert text not in page or text == "{{ 7 * 7 }}"
    assert "49" not in re.findall(r"recipe (\S+)", page)


def test_pictures_beyond_the_limit_are_left_out_and_counted():
    other = picture("b" * 64)
    made = lost().model_copy(update={"crops": {"0.lesion.0": picture(), "0.alarm.0": other}})
    text = write_report(run(), archive=archive(made), max_bytes=len(CONTENT))
    assert "1 of 2 places are shown without a picture" in text
    assert text.count("data:image/webp") == 2  # the worst place, and the same picture as a whole image


def test_pictures_that_were_not_kept_are_named():
    made = record(
        image((lesion(5, 5),)), left_out=LeftOut(places=1, reason="1 images could not be read again")
    )
    text = write_report(run(), archive=archive(made))
    assert "1 places have no kept picture: 1 images could not be read again" in text


def test_nothing_to_show_is_said():
    text = write_report(run(), archive=archive(record()))
    assert "The held-out images have no lesion, and neither model drew a false alarm." in text
