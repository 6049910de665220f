"""Asking a model: retries that honour the server, then fallback models, then one clear error."""

import asyncio
import importlib
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import stamina
from langchain_core.messages import BaseMessage

from agents.domain.errors import ModelRejected, ModelUnavailable
from agents.react.faults import Transient
from agents.react.messages import Reply
from agents.react.transport import Transport

if TYPE_CHECKING:
    from agents.react.chat import Chat

WAIT_FIRST = 0.5  # seconds before the second try; doubles, with up to as much jitter
WAIT_MOST = 20.0
CROWDED = 2.0  # seconds everybody waits after a 429 that names no time
CROWDED_MOST = 60.0  # after that somebody looks again, whatever was asked for
SPREAD = 0.1  # of a Retry-After: six agents told the same second don't come back at the same one


class Model(Protocol):
    """What the loop asks."""

    async def query(self, messages: Sequence[BaseMessage], schemas: Sequence[dict[str, Any]]) -> Reply:
        """The model's answer. Messages and schemas must not be changed afterwards.

        Raise ModelUnavailable, ModelRejected or ContextTooLong. Cancelling it ends the request at once.
        """
        ...


class Pace(Protocol):
    """How fast all who share an endpoint may ask it."""

    async def ready(self) -> None:
        """Wait until it wants to hear from us."""
        ...

    async def slow(self, seconds: float) -> None:
        """It wants to hear from nobody for that long."""
        ...


class ChatModel:
    """The first of `models` that answers, at one endpoint. Without `pace` each caller heeds its own refusals only."""

    def __init__(
        self,
        transport: Transport,
        models: Sequence[str],
        *,
        retries: int = 4,
        total: float = 120.0,
        wait_first: float = WAIT_FIRST,
        pace: Pace | None = None,
    ) -> None:
        self._transport = transport
        self._models = tuple(dict.fromkeys(models))
        self._retries = retries
        self._total = total
        self._wait_first = wait_first
        self._pace = pace
        self._chats: dict[str, Chat] = {}

    async def warm(self) -> None:
        """Import and build what the first query needs, off the event loop."""
        for model in self._models:
            await self._chat(model)

    async def query(self, messages: Sequence[BaseMessage], schemas: Sequence[dict[str, Any]]) -> Reply:
        """The answer of the first model that gives one."""
        answers = []
        for model in self._models:
            try:
                return await self._persistently(await self._chat(model), messages, schemas)
            except Transient as error:
                answers.append(f"{model}: {error}")
        raise ModelUnavailable(f"no answer from {self._transport.endpoint.base}; last tried: {'; '.join(answers)}")

    async def _persistently(self, chat: "Chat", messages: Sequence[BaseMessage], schemas: Sequence[Any]) -> Reply:
        """Ask one model until it answers, its tries are used up or its time is over. Raise Transient then."""
        ends = asyncio.get_running_loop().time() + self._total
        try:
            async with asyncio.timeout_at(ends):
                async for attempt in stamina.retry_context(
                    on=lambda error: self._pause(error, ends),
                    attempts=self._retries + 1,
                    timeout=self._total,
                    wait_initial=self._wait_first,
                    wait_max=WAIT_MOST,
                    wait_jitter=self._wait_first,
                ):
                    with attempt:
                        if attempt.num > 1 and self._pace:
                            await self._pace.ready()
                        return await self._heeded(chat, messages, schemas)
        except TimeoutError:
            raise Transient(f"no answer within {self._total:g} s in all") from None
        raise AssertionError("stamina ends with an answer or an error")

    async def _heeded(self, chat: "Chat", messages: Sequence[BaseMessage], schemas: Sequence[Any]) -> Reply:
        """One try; a server that says it is too much is heard by everybody."""
        try:
            return await _understood(chat, messages, schemas)
        except Transient as error:
            if error.crowded and self._pace:
                await self._pace.slow(min(CROWDED if error.retry_after is None else error.retry_after, CROWDED_MOST))
            raise

    def _pause(self, error: Exception, ends: float) -> bool | float:
        """Whether to try again: after what the server asked for, if there is time for that."""
        if not isinstance(error, Transient):
            return False
        if error.retry_after is None:
            return True
        pause = error.retry_after * (1 + SPREAD * random.random())  # noqa: S311  spreads load, hides nothing
        return pause if asyncio.get_running_loop().time() + pause < ends else False

    async def _chat(self, model: str) -> "Chat":
        if model not in self._chats:
            module = await asyncio.to_thread(importlib.import_module, "agents.react.chat")
            self._chats.setdefault(model, module.chat(model, self._transport))
        return self._chats[model]


async def _understood(chat: "Chat", messages: Sequence[BaseMessage], schemas: Sequence[dict[str, Any]]) -> Reply:
    """One answer, asked again in the server's own dialect as long as its complaints teach something."""
    while True:
        try:
            return await chat.ask(messages, schemas)
        except (ModelRejected, Transient) as error:
            if not chat.learn(str(error)):
                raise
