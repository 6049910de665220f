"""The model endpoint: does it list models, does the model call a tool?"""

import asyncio
from typing import Any

import httpx

from client.doctor.rows import Endpoint, Level, Row
from client.text import one_line

NAME = "model endpoint"
SECONDS = 4.0
_NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
_TOOL = {"type": "function", "function": {"name": "ping", "description": "Answer a ping.", "parameters": _NOTHING}}
_ASK = "Call the tool ping now."
_FIXES = {
    401: "OPENAI_API_KEY is wrong for this endpoint",
    403: "OPENAI_API_KEY may not use this endpoint or model",
    404: "check OPENAI_API_BASE (it usually ends in /v1) and LLM_MODEL",
    429: "the account is over its limit; wait, or raise it",
}
_BASE_FIX = "check OPENAI_API_BASE: it usually ends in /v1"


class _Bad(Exception):
    """What is wrong, and the fix."""

    def __init__(self, detail: str, fix: str) -> None:
        super().__init__(detail)
        self.fix = fix


async def model(endpoint: Endpoint | None) -> Row:
    """Try it: the list of models, one completion with a tool."""
    if endpoint is None:
        return Row(NAME, Level.WARN, "no OPENAI_API_KEY: the rehearsal plays", "./minilab init, then set it in .env")
    try:
        async with asyncio.timeout(SECONDS), httpx.AsyncClient(timeout=SECONDS) as client:
            models = await _models(client, endpoint)
            if endpoint.model not in models and models:
                near = ", ".join(sorted(models)[:5])
                return Row(
                    NAME, Level.FAIL, f"no model {endpoint.model} at {endpoint.base}", f"LLM_MODEL: e.g. {near}"
                )
            called = await _tool_call(client, endpoint)
    except TimeoutError:
        return Row(NAME, Level.WARN, f"{endpoint.base}: no answer within {SECONDS:.0f} s", "it may be slow; try it")
    except httpx.HTTPError as error:
        return Row(
            NAME, Level.FAIL, f"{endpoint.base}: {one_line(str(error), 120) or type(error).__name__}", _BASE_FIX
        )
    except _Bad as bad:
        return Row(NAME, Level.FAIL, f"{endpoint.base}: {bad}", bad.fix)
    if not called:
        fix = "choose a model that calls tools (vLLM: --enable-auto-tool-choice)"
        return Row(NAME, Level.WARN, f"{endpoint.model} answered without calling the tool", fix)
    return Row(NAME, Level.OK, f"{endpoint.model} at {endpoint.base} calls tools")


async def _models(client: httpx.AsyncClient, endpoint: Endpoint) -> set[str]:
    body = _json(await client.get(_url(endpoint, "models"), headers=_headers(endpoint)))
    entries = body.get("data")
    if not isinstance(entries, list):
        raise _Bad("its model list has no data", _BASE_FIX)
    return {str(entry["id"]) for entry in entries if isinstance(entry, dict) and "id" in entry}


async def _tool_call(client: httpx.AsyncClient, endpoint: Endpoint) -> bool:
    question = {"model": endpoint.model, "messages": [{"role": "user", "content": _ASK}], "tools": [_TOOL]}
    body = _json(await client.post(_url(endpoint, "chat/completions"), headers=_headers(endpoint), json=question))
    try:
        return bool(body["choices"][0]["message"].get("tool_calls"))
    except (KeyError, IndexError, TypeError, AttributeError):
        raise _Bad("its completion has no message", _BASE_FIX) from None


def _json(response: httpx.Response) -> dict[str, Any]:
    if response.status_code != httpx.codes.OK:
        raise _Bad(f"HTTP {response.status_code}", _FIXES.get(response.status_code, "see the endpoint's own log"))
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise _Bad(f"answers {response.headers.get('content-type', 'something')}, not a JSON object", _BASE_FIX)
    return body


def _url(endpoint: Endpoint, path: str) -> str:
    return f"{endpoint.base.rstrip('/')}/{path}"


def _headers(endpoint: Endpoint) -> dict[str, str]:
    return {"Authorization": f"Bearer {endpoint.key}"}
