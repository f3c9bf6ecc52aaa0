"""Webhooks against a real receiver that takes, refuses, hangs, redirects and is away."""

import socket
from datetime import UTC, datetime

import pytest

from mammo.errors import NotDelivered
from mammo.images.downloads import AddressRule
from mammo.notifications.webhook import post, signature, signing_key, written_key
from tests.mammo.notifications.receivers import receiver, verified

KEY = signing_key("a secret of the tests", 1)
LOCAL = AddressRule.parse("127.0.0.0/8")
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)


def send(url, *, rule=LOCAL, **more):
    post(url, b'{"text":"hello"}', message="msg_1", key=KEY, rule=rule, now=NOW, **more)


@pytest.fixture
def there():
    with receiver() as it:
        yield it


def test_a_receiver_with_the_key_verifies_what_arrives_and_nothing_that_was_changed(there):
    send(there.url)
    ((headers, body),) = there.seen
    assert body == b'{"text":"hello"}'
    assert headers["webhook-id"] == "msg_1"
    assert headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert verified(written_key(KEY), headers, body)
    assert not verified(written_key(KEY), headers, body + b" ")
    assert not verified(written_key(KEY), headers | {"webhook-timestamp": "1"}, body)
    assert not verified(written_key(KEY), headers | {"webhook-id": "msg_2"}, body)
    assert not verified(written_key(signing_key("a secret of the tests", 2)), headers, body)


def test_the_signature_is_that_of_the_example_of_standard_webhooks():
    """The test vector of the specification's reference libraries."""
    import base64

    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signature(
        key, message="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp=1614265330, body=b'{"test": 2432232314}'
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(("status", "code"), [(500, "http_500"), (404, "http_404"), (410, "gone")])
def test_any_answer_but_2xx_is_no_delivery(there, status, code):
    there.statuses = [status]
    with pytest.raises(NotDelivered) as refused:
        send(there.url)
    assert refused.value.code == code


def test_a_redirect_to_a_private_address_is_not_followed(there):
    with receiver() as inside:
        there.statuses, there.location = [307], inside.url
        with pytest.raises(NotDelivered, match="not followed") as refused:
            send(there.url)
    assert refused.value.code == "redirect"
    assert inside.seen == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "[::ffff:127.0.0.1]"])
def test_a_private_address_is_sent_nothing_unless_its_network_is_named(there, host):
    with pytest.raises(NotDelivered, match="YOLO_MLSAM_PRIVATE_NETWORKS") as refused:
        send(f"http://{host}:{there.port}/", rule=AddressRule())
    assert refused.value.code == "blocked_address"
    assert there.seen == []


def test_a_name_is_resolved_once_so_that_a_second_answer_cannot_lead_elsewhere(there):
    answers = [["127.0.0.1"], ["10.0.0.1"]]
    send(f"http://receiver.example:{there.port}/", resolve=lambda host, port: answers.pop(0))
    assert answers == [["10.0.0.1"]]
    assert there.seen[0][0]["host"] == f"receiver.example:{there.port}"


def test_a_slow_receiver_is_left_at_the_deadline(there):
    there.delay = 3
    with pytest.raises(NotDelivered, match="did not answer") as refused:
        send(there.url, seconds=0.3)
    assert refused.value.code == "timeout"


def test_a_receiver_that_is_away_and_a_name_that_is_none_are_told_apart():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(NotDelivered, match="cannot be reached"):
        send(f"http://127.0.0.1:{port}/")

    def unknown(host, port):
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    with pytest.raises(NotDelivered, match="cannot be resolved"):
        send("http://nowhere.example/", resolve=unknown)


def test_no_error_repeats_the_address_which_may_hold_a_token(there):
    there.statuses = [500]
    with pytest.raises(NotDelivered) as refused:
        send(there.url)
    assert "token" not in str(refused.value)
