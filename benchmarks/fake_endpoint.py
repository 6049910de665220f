"""A fast OpenAI-compatible endpoint for measurements: N-1 tool calls, then a text.

The model's name says how many steps: `fake-n50`. What is answered depends on the request alone. Prints its port.
"""

import asyncio
import re

_MODEL = re.compile(rb'"model":\s*"fake-n(\d+)"')
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_TOOL = b'"role":"tool"'
_TEXT = "Done: the sum is proven, the files are written, and nothing is left open."


def answer(body: bytes) -> bytes:
    """The HTTP response to a request body."""
    model = _MODEL.search(body)
    done = body.count(_TOOL)
    steps = int(model[1]) if model else 1
    if done < steps - 1:
        arguments = f'{{\\"a\\": {done}, \\"b\\": 1}}'
        call = f'"id":"call_{done}","type":"function","function":{{"name":"add","arguments":"{arguments}"}}'
        message, finish = f'"content":null,"tool_calls":[{{"index":0,{call}}}]', "tool_calls"
    else:
        message, finish = f'"content":"{_TEXT}"', "stop"
    tokens = len(body) // 4
    usage = f'"usage":{{"prompt_tokens":{tokens},"completion_tokens":20,"total_tokens":{tokens + 20}}}'
    head = f'"id":"chatcmpl-fake","created":1,"model":"fake-n{steps}"'
    if b'"stream":true' not in body:
        return _response(
            "application/json",
            f'{{{head},"object":"chat.completion","choices":[{{"index":0,"message":{{"role":"assistant",{message}}},'
            f'"finish_reason":"{finish}"}}],{usage}}}',
        )
    chunk = f'{head},"object":"chat.completion.chunk"'
    first = f'{{{chunk},"choices":[{{"index":0,"delta":{{"role":"assistant",{message}}},"finish_reason":null}}]}}'
    last = f'{{{chunk},"choices":[{{"index":0,"delta":{{}},"finish_reason":"{finish}"}}]}}'
    counted = f'{{{chunk},"choices":[],{usage}}}'
    return _response("text/event-stream", "".join(f"data: {part}\n\n" for part in (first, last, counted, "[DONE]")))


def _response(kind: str, content: str) -> bytes:
    raw = content.encode()
    return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(raw)}\r\n\r\n".encode() + raw


class Connection(asyncio.Protocol):
    """One keep-alive connection. `respond` makes the HTTP response of a request's body."""

    respond = staticmethod(answer)

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        length = _LENGTH.search(self._buffer, 0, end + 2) if end >= 0 else None
        if length and len(self._buffer) >= end + 4 + int(length[1]) and self._transport:
            self._transport.write(self.respond(bytes(self._buffer[end + 4 :])))
            self._buffer.clear()


async def main() -> None:
    """Serve on a free loopback port until killed."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
