"""A door to Redis that loses answers on demand: the command was done, and nobody hears of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


class FlakyProxy:
    """Passes bytes on. `lose_answers` tells how many answers to swallow, hanging up each time."""

    def __init__(self, server: Path) -> None:
        self._server = server
        self.lose_answers = 0
        self.lost = 0
        self.mute = False
        self._open: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self, path: Path) -> AsyncIterator[str]:
        """Its address, while it listens at `path`."""
        server = await asyncio.start_unix_server(self._accept, path)
        try:
            yield f"unix://{path}"
        finally:
            server.close()
            async with asyncio.timeout(5):
                await asyncio.gather(*self._open)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream = await asyncio.open_unix_connection(self._server)
        tasks = [
            asyncio.create_task(self._requests(reader, upstream)),
            asyncio.create_task(self._answers(upstream_reader, writer)),
        ]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for end in (writer, upstream):
            end.close()
            with contextlib.suppress(ConnectionError):
                await end.wait_closed()

    async def _requests(self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            upstream.write(data)

    async def _answers(self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await upstream.read(1 << 16):
            # NOSCRIPT means that nothing was done yet
            if self.lose_answers and not data.startswith(b"-NOSCRIPT"):
                self.lose_answers -= 1
                self.lost += 1
                return
            if not self.mute:
                writer.write(data)
