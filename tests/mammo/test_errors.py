import orjson

from mammo.errors import InvalidRegion


def test_a_message_that_quotes_a_lone_surrogate_can_be_stored_and_printed():
    error = InvalidRegion("expected a label, got 'Clu\ud800ster'")
    assert str(error) == r"expected a label, got 'Clu\ud800ster'"
    assert orjson.loads(orjson.dumps(str(error))) == str(error)
