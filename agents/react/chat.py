"""ChatOpenAI as our model class, at a cost that doesn't grow with the history.

Import it lazily: langchain_openai takes a second. Each message of a conversation is converted to JSON once; the
request body is those pieces joined. Calling `ask` goes past the callback manager on purpose: nothing is traced out.
"""

import json
import re
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_openai import ChatOpenAI
from langchain_openai.chat_models.base import _convert_message_to_dict
from pydantic import PrivateAttr

from agents.domain.turn import Usage
from agents.react.dialect import Dialect
from agents.react.messages import EXTRAS, THOUGHTS, Reply, content_text, estimated_tokens, reply_of
from agents.react.transport import Body, Transport

_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")


class Fragments:
    """The JSON of messages and tools, made once per object and dropped with it. Messages must not change later."""

    def __init__(self, thoughts: bool = False) -> None:
        self._thoughts = thoughts
        self._messages: dict[int, tuple[weakref.ref[BaseMessage], bytes]] = {}
        self._tools: tuple[Sequence[Any], bytes] = ((), b"")

    def of(self, messages: Iterable[BaseMessage]) -> list[bytes]:
        """One JSON object per message."""
        known = self._messages
        fragments = []
        for message in messages:
            entry = known.get(id(message))
            fragments.append(entry[1] if entry else self._added(message))
        return fragments

    def tools(self, schemas: Sequence[dict[str, Any]]) -> bytes:
        """The tools as a JSON list, empty if there are none."""
        if self._tools[0] is not schemas:
            self._tools = (schemas, _json(list(schemas)) if schemas else b"")
        return self._tools[1]

    def _added(self, message: BaseMessage) -> bytes:
        fragment = _json(_wire_form(message, self._thoughts))
        key = id(message)
        self._messages[key] = (weakref.ref(message, lambda _: self._messages.pop(key, None)), fragment)
        return fragment


class Chat(ChatOpenAI):
    """One model behind one endpoint."""

    _fragments: Fragments = PrivateAttr(default_factory=Fragments)
    _dialect: Dialect = PrivateAttr(default_factory=Dialect)

    async def ask(self, messages: Sequence[BaseMessage], schemas: Sequence[dict[str, Any]]) -> Reply:
        """One query. Raise Transient, ModelRejected or ContextTooLong."""
        extra: dict[str, Any] = {"tools": schemas} if schemas else {}
        async for generation in self._astream(messages, **extra):
            chunk = generation.message
        if not isinstance(chunk, AIMessageChunk):
            raise AssertionError("the transport answers as the assistant")
        facts = generation.generation_info or {}
        usage = self._usage(chunk, messages, schemas)
        model = facts.get("model_name") or self.model_name
        return reply_of(chunk, chunk.tool_call_chunks, usage, model, cut=facts.get("finish_reason") == "length")

    def learn(self, complaint: str) -> bool:
        """Whether the endpoint's complaint tells of a peculiarity that the next try will respect."""
        news = self._dialect.learn(complaint)
        if news:
            self._fragments = Fragments(self._dialect.wants_thoughts)
        return news

    def _get_request_payload(self, input_: Any, *, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        """The request; `messages` is a Body of ready JSON instead of converted messages."""
        schemas = kwargs.pop("tools", ())
        payload = super()._get_request_payload([], stop=stop, **kwargs)
        fragments = self._fragments.of(self._dialect.messages(input_))
        payload["messages"] = Body(fragments, self._fragments.tools(schemas))
        return self._dialect.parameters(payload)

    def _convert_chunk_to_generation_chunk(
        self, chunk: dict[str, Any], default_chunk_class: type, base_generation_info: dict[str, Any] | None
    ) -> ChatGenerationChunk | None:
        """langchain's conversion, keeping what a provider attached to its calls."""
        made = super()._convert_chunk_to_generation_chunk(chunk, default_chunk_class, base_generation_info)
        if made and any(chunk[EXTRAS]):
            made.message.additional_kwargs[EXTRAS] = chunk[EXTRAS]
        return made

    def _usage(self, chunk: AIMessageChunk, messages: Sequence[BaseMessage], schemas: Sequence[Any]) -> Usage:
        """What the server counted; an estimate from the sizes where it doesn't say."""
        if said := chunk.usage_metadata:
            cached = said.get("input_token_details", {}).get("cache_read", 0)
            return Usage(said["input_tokens"], said["output_tokens"], cached or 0)
        sent = sum(map(len, self._fragments.of(messages))) + len(self._fragments.tools(schemas))
        calls = sum(len(call["args"] or "") for call in chunk.tool_call_chunks)
        return Usage(estimated_tokens(sent), estimated_tokens(len(content_text(chunk)) + calls), estimated=True)


def chat(model: str, transport: Transport) -> Chat:
    """The model named `model`, spoken to over `transport`."""
    return Chat(
        model=model,
        base_url=transport.endpoint.base,
        api_key=transport.endpoint.key,
        client=transport,  # both set: the SDK's own clients are never built
        async_client=transport,
        use_responses_api=False,
        stream_usage=True,
        max_retries=0,
        stream_chunk_timeout=None,
    )


def _wire_form(message: BaseMessage, thoughts: bool) -> dict[str, Any]:
    """langchain's conversion, except that a call's broken arguments aren't sent back: servers reject them.

    What a provider attached to a call goes back with it; thoughts only to a server that demands them.
    """
    wire: dict[str, Any] = _convert_message_to_dict(message)
    if not isinstance(message, AIMessage):
        return wire
    for call in wire.get("tool_calls", ())[len(message.tool_calls) :]:
        call["function"]["arguments"] = "{}"
    extras = message.additional_kwargs.get(EXTRAS, {})
    for call in wire.get("tool_calls", ()):
        # a name the model invented may be one that the server refuses in a history
        call["function"]["name"] = _NO_NAME.sub("_", call["function"]["name"] or "unnamed")[:64]
        if call["id"] in extras:
            call[EXTRAS] = extras[call["id"]]
    if thoughts:
        wire[THOUGHTS] = message.additional_kwargs.get(THOUGHTS, "")
    return wire


def _json(value: Any) -> bytes:
    # "replace": half a surrogate pair is no reason to lose a turn
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
