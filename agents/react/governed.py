"""A model under the governor: reserve, ask, settle; and the pace at which all of us may ask an endpoint."""

import asyncio
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from langchain_core.messages import BaseMessage

from agents.domain.budget import Ask, Prices, Spent
from agents.domain.errors import OverBudget
from agents.domain.message import new_id
from agents.domain.ports import Governor
from agents.domain.turn import Usage
from agents.react.context import tokens_of
from agents.react.messages import Reply, estimated_tokens
from agents.react.models import Model

OUTPUT_GUESS = 4_000  # tokens; most answers, thoughts included, are shorter


class Alarm(Protocol):
    """Hears of the room's spending. Telling it twice must show once."""

    async def high(self) -> None:
        """80 % of a cap are spent."""
        ...

    async def over(self, why: str) -> None:
        """A query was refused."""
        ...


class GovernedModel:
    """The `Model` that one role asks. It costs a round trip before each query and one after it."""

    def __init__(self, model: Model, governor: Governor, role: str, prices: Prices, alarm: Alarm) -> None:
        self._model = model
        self._governor = governor
        self._role = role
        self._prices = prices
        self._alarm = alarm
        self._sizes = Sizes()

    async def query(self, messages: Sequence[BaseMessage], schemas: Sequence[dict[str, Any]]) -> Reply:
        """The model's answer. Raise OverBudget too."""
        prompt = self._sizes.of(messages, schemas)
        worst = Usage(prompt, OUTPUT_GUESS)
        ask = Ask(new_id(), self._role, prompt + OUTPUT_GUESS, self._prices.highest.of(worst))
        try:
            await self._governor.reserve(ask)
        except OverBudget as error:
            await self._alarm.over(str(error))
            raise
        try:
            reply = await self._model.query(messages, schemas)
        except asyncio.CancelledError:
            # the endpoint has read the prompt, and bills it whether or not we wait for the answer
            read = Usage(prompt, estimated=True)
            await self._governor.release(ask, Spent.of(read, self._prices.default.of(read)))
            raise
        except BaseException:
            await self._governor.release(ask)
            raise
        price = self._prices.of(reply.model)
        if await self._governor.settle(ask, Spent.of(reply.usage, price.of(reply.usage))):
            await self._alarm.high()
        return reply


class Sizes:
    """Estimated tokens of prompts, each message counted once. Messages must not change later."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[BaseMessage], int]] = {}
        self._schemas: tuple[Sequence[Any], int] = ((), 0)

    def of(self, messages: Sequence[BaseMessage], schemas: Sequence[dict[str, Any]]) -> int:
        """The prompt's tokens, tools included."""
        known = self._known
        if self._schemas[0] is not schemas:
            self._schemas = (schemas, estimated_tokens(len(str(schemas))) if schemas else 0)
        total = self._schemas[1]
        for message in messages:
            entry = known.get(id(message))
            total += entry[1] if entry else self._added(message)
        return total

    def _added(self, message: BaseMessage) -> int:
        key, tokens = id(message), tokens_of(message)
        self._known[key] = (weakref.ref(message, lambda _: self._known.pop(key, None)), tokens)
        return tokens


class SharedPace:
    """The `Pace` of an endpoint, shared by every worker through the governor. `say` hears of each new pause."""

    def __init__(self, governor: Governor, say: Callable[[float], None] = lambda seconds: None) -> None:
        self._governor = governor
        self._say = say

    async def ready(self) -> None:
        """See the protocol."""
        await self._governor.ready()

    async def slow(self, seconds: float) -> None:
        """See the protocol."""
        self._say(seconds)
        await self._governor.slow(seconds)
