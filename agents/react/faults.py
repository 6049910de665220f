"""What an endpoint's refusal means: try again later, mend a setting, or shorten the prompt."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from agents.domain.errors import ContextTooLong, ModelError, ModelRejected, ModelUnavailable

SHOWN_CHARS = 300
_TRANSIENT = frozenset({408, 409, 425, 429})
_TOO_LONG = re.compile(
    r"context[_ ]length|context (?:window|size)|maximum context|too many tokens|prompt is too long"
    r"|input is too long|exceeds? the (?:available|model'?s?) context|reduce the length",
    re.IGNORECASE,
)
_NO_CREDIT = re.compile(r"insufficient_quota|billing|credit", re.IGNORECASE)
_FIX = {
    401: "mend OPENAI_API_KEY",
    402: "the account behind OPENAI_API_KEY has no credit",
    403: "OPENAI_API_KEY may not use this model",
    404: "check LLM_MODEL, and that OPENAI_API_BASE ends in the API's version (…/v1)",
    405: "check OPENAI_API_BASE",
}


class Transient(ModelUnavailable):
    """May work on the next try. `retry_after`: seconds the server asked for, None if it didn't.

    `crowded`: it is too much for the server, whoever asks.
    """

    def __init__(self, what: str, retry_after: float | None = None, *, crowded: bool = False) -> None:
        super().__init__(what)
        self.retry_after = retry_after
        self.crowded = crowded


def refusal(base: str, status: int, headers: Mapping[str, str], text: str) -> ModelError:
    """The error that an answer with this status is."""
    said = server_message(text)
    if status in (400, 413, 422, 500) and _TOO_LONG.search(said):
        return ContextTooLong(f"{base}: {said}")
    if status == 429 and _NO_CREDIT.search(said):
        return ModelRejected(f"{base} answered 429: {said}; {_FIX[402]}")
    if status in _TRANSIENT or status >= 500:
        pause = retry_after(headers.get("retry-after"), datetime.now(UTC))
        return Transient(f"HTTP {status}: {said}", pause, crowded=status == 429 or pause is not None)
    if 300 <= status < 400:
        place = headers.get("location", "elsewhere")[:200]
        return ModelRejected(f"{base} redirects to {place}; mend OPENAI_API_BASE")
    fix = _FIX.get(status)
    return ModelRejected(f"{base} answered {status}: {said}" + (f"; {fix}" if fix else ""))


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait by a Retry-After header: a number of seconds or a date. None if it says neither."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())


def server_message(text: str) -> str:
    """What the server said, in one printable line of at most 300 characters."""
    try:
        body = json.loads(text)
    except ValueError:
        body = text
    if isinstance(body, list) and body:
        body = body[0]
    if isinstance(body, dict):
        error = body.get("error", body)
        if isinstance(error, dict):
            codes = " ".join(str(error[name]) for name in ("code", "type") if error.get(name))
            body = f"{error.get('message') or error.get('detail') or ''} ({codes})" if codes else error.get("message")
            body = body or error
        else:
            body = error
    line = " ".join(str(body).split())
    line = "".join(char for char in line if char.isprintable())
    return line[:SHOWN_CHARS] or "(nothing)"
