"""One command on an open connection. `run` blocks a thread; `close`, from any thread, ends it."""

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import paramiko

from agents.executors.remote_output import RemoteStream

OPEN_SECONDS = 10.0
LINGER = 0.3  # seconds to wait for more output once the command has ended,
FLOWING = 2.0  # and as long as more of it comes
LOOK = 0.05
CHUNK = 64 * 1024
NO_STATUS = -1  # closed without a status: a signal, or the end of the connection


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended. `exit_code` None: no end was seen; -1: a signal ended it.

    `background`: the command has ended, something it started holds its output open.
    """

    exit_code: int | None
    stdout: str
    stderr: str
    seconds: float
    truncated: bool
    background: bool


class Session:
    """A channel that runs one command. `folder` takes long output for a while."""

    def __init__(self, transport: paramiko.Transport, folder: Path) -> None:
        self._transport = transport
        self._folder = folder
        self._channel: paramiko.Channel | None = None
        self._closed = False

    @property
    def started(self) -> bool:
        """Whether the host may have begun to run the command."""
        return self._channel is not None

    def close(self) -> None:
        """End `run`. What the host runs is not ended by that."""
        self._closed = True
        if self._channel is not None:
            self._channel.close()

    def run(self, command: str, seconds: float) -> Ended:
        """Run it for at most `seconds`. Raise SSHException, EOFError or OSError where the connection breaks."""
        began = time.monotonic()
        channel = self._transport.open_session(timeout=OPEN_SECONDS)
        self._channel = channel  # first this, then the look: `close` does them the other way round
        if self._closed:
            channel.close()
            return Ended(None, "", "", 0.0, False, False)
        out, err = RemoteStream(self._folder), RemoteStream(self._folder)
        background = False
        try:
            channel.exec_command(command)
            channel.shutdown_write()
            background = self._read(channel, out, err, began + seconds)
            code = channel.exit_status if channel.status_event.is_set() else None
        finally:
            texts = out.text(), err.text()
            channel.close()
        if self._closed or (code == NO_STATUS and not self._transport.is_active()):
            code = None
        return Ended(code, *texts, time.monotonic() - began, out.truncated or err.truncated, background)

    def _read(self, channel: paramiko.Channel, out: RemoteStream, err: RemoteStream, until: float) -> bool:
        """Read until the command's end, or `until`; whether something holds its output open after it."""
        channel.settimeout(LOOK)
        ended: float | None = None
        while True:
            data: bytes | None = None
            with suppress(TimeoutError):
                data = channel.recv(CHUNK)
            out.feed(data or b"")
            # stderr shares the window with stdout: unread, it would stop both
            while channel.recv_stderr_ready():
                err.feed(channel.recv_stderr(CHUNK))
            now = time.monotonic()
            if data == b"":
                channel.status_event.wait(max(0.0, until - now))
                return False
            if ended is None and channel.exit_status_ready():
                ended = now
            if ended is not None and now - ended >= (FLOWING if data else LINGER):
                return True
            if now >= until:
                return False
