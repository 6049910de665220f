from datetime import UTC, datetime

import pytest

from agents.domain.errors import ContextTooLong, ModelError, ModelRejected
from agents.react.faults import Transient, refusal, retry_after, server_message

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "text", "kind", "names"),
    [
        (401, '{"error": {"message": "bad key"}}', ModelRejected, "OPENAI_API_KEY"),
        (403, "no", ModelRejected, "OPENAI_API_KEY"),
        (402, "pay", ModelRejected, "credit"),
        (404, '{"error": {"message": "no such model"}}', ModelRejected, "LLM_MODEL"),
        (404, "<html>", ModelRejected, "OPENAI_API_BASE"),
        (405, "", ModelRejected, "OPENAI_API_BASE"),
        (302, "", ModelRejected, "/login"),
        (400, '{"error": {"message": "bad tool"}}', ModelRejected, "bad tool"),
        (400, '{"error": {"message": "x", "code": "context_length_exceeded"}}', ContextTooLong, "context_length"),
        (400, '{"error": {"message": "This model\'s maximum context length is 4096"}}', ContextTooLong, "4096"),
        (413, "prompt is too long", ContextTooLong, "too long"),
        (500, "the request exceeds the available context size", ContextTooLong, "context"),
        (500, "<html>oops", Transient, "500"),
        (502, "<html>bad gateway</html>", Transient, "502"),
        (408, "", Transient, "408"),
        (429, '{"error": {"message": "slow down"}}', Transient, "slow down"),
        (429, '{"error": {"message": "x", "code": "insufficient_quota"}}', ModelRejected, "credit"),
    ],
)
def test_a_refusal_is_named_with_its_fix(status: int, text: str, kind: type[ModelError], names: str) -> None:
    error = refusal("http://host/v1", status, {"location": "/login"}, text)
    assert type(error) is kind
    assert names in str(error)
    assert "\n" not in str(error)


def test_retry_after_travels_with_the_refusal() -> None:
    error = refusal("b", 429, {"retry-after": "7"}, "")
    assert isinstance(error, Transient)
    assert error.retry_after == 7


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (None, None),
        ("", None),
        ("3", 3),
        ("0.5", 0.5),
        ("-1", 0),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30),
        ("Sat, 21 Nov 2026 12:00:30 -0000", 30),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0),
        ("soon", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, wanted: float | None) -> None:
    assert retry_after(value, NOW) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "(nothing)"),
        ("plain\ntext", "plain text"),
        ("\x1b[31mred", "[31mred"),
        ('{"error": "said"}', "said"),
        ('{"error": {"message": "m", "code": 7, "type": "t"}}', "m (7 t)"),
        ('{"error": {"detail": "d", "code": 7}}', "d (7)"),
        ('{"detail": "d"}', "{'detail': 'd'}"),
        ('{"message": "m"}', "m"),
        ('[{"error": {"message": "m"}}]', "m"),
        ("[]", "[]"),
        ("x" * 900, "x" * 300),
    ],
)
def test_server_message_is_one_printable_line(text: str, wanted: str) -> None:
    assert server_message(text) == wanted
