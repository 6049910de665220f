"""Files to and from a host over SFTP, in one step each. Blocking: for threads."""

import errno
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import paramiko

from agents.domain.errors import QuotaExceeded
from agents.executors.remote_errors import Fault, failure

ANSWER_SECONDS = 20.0
CHUNK = 256 * 1024


class Transfer:
    """One SFTP channel of a connection to `host`. `close`, from any thread, ends what it does."""

    def __init__(self, transport: paramiko.Transport, host: str) -> None:
        self._transport = transport
        self._host = host
        self._channel: paramiko.Channel | None = None
        self._closed = False

    def close(self) -> None:
        """End it."""
        self._closed = True
        if self._channel is not None:
            self._channel.close()

    def put(self, content: bytes, path: str) -> str:
        """Write the remote file `path`: beside it first, then renamed over it. Return its full name."""
        with self._opened(path) as sftp:
            before = _status(sftp, path)
            if before is not None and stat.S_ISDIR(before.st_mode or 0):
                raise failure(Fault.NAME, self._host, f"{path} is a folder: name the file in it")
            beside = f"{path}.minilab-{secrets.token_hex(6)}"
            try:
                with sftp.open(beside, "wx") as file:
                    file.set_pipelined(True)
                    for start in range(0, len(content), CHUNK):
                        file.write(content[start : start + CHUNK])
                if before is not None and before.st_mode is not None:
                    sftp.chmod(beside, stat.S_IMODE(before.st_mode))
                sftp.posix_rename(beside, path)
            except BaseException:  # cancelled or failed: nothing half-written stays
                with suppress(OSError, EOFError, paramiko.SSHException):
                    sftp.remove(beside)
                raise
            return sftp.normalize(path)

    def get(self, path: str, limit: int) -> bytes:
        """The remote file's content. Raise QuotaExceeded where it has more than `limit` bytes."""
        with self._opened(path) as sftp:
            kind = sftp.stat(path).st_mode or 0
            if not stat.S_ISREG(kind):
                what = "a folder" if stat.S_ISDIR(kind) else "no ordinary file"
                raise failure(Fault.NAME, self._host, f"{path} is {what}")
            with sftp.open(path, "rb") as file:
                # asked for piece by piece: a size that the host tells is only a claim
                content = bytearray()
                while data := file.read(CHUNK):
                    content += data
                    if len(content) > limit:
                        raise QuotaExceeded(f"{self._host}: {path} has more than {limit:,} bytes: too large to copy")
            return bytes(content)

    @contextmanager
    def _opened(self, path: str) -> Iterator[paramiko.SFTPClient]:
        try:
            channel = self._transport.open_session(timeout=ANSWER_SECONDS)
            self._channel = channel
            if self._closed:
                channel.close()
            channel.settimeout(ANSWER_SECONDS)
            channel.invoke_subsystem("sftp")
            with paramiko.SFTPClient(channel) as sftp:
                yield sftp
        except TimeoutError:
            raise failure(Fault.TIMEOUT, self._host, f"{path}: no answer in {ANSWER_SECONDS:g} s") from None
        except (EOFError, paramiko.SSHException) as error:
            detail = f"{path}: SFTP broke off: {str(error)[:200] or type(error).__name__}"
            raise failure(Fault.ROUTE, self._host, detail) from None
        except OSError as error:
            if error.errno == errno.ENOENT:
                raise failure(Fault.NAME, self._host, f"there is no {path}, or no folder for it") from None
            if error.errno == errno.EACCES:
                raise failure(Fault.PERMISSION, self._host, f"{path}: the login may not do that") from None
            raise failure(Fault.ROUTE, self._host, f"{path}: the host says {str(error)[:200]!r}") from None


def _status(sftp: paramiko.SFTPClient, path: str) -> paramiko.SFTPAttributes | None:
    try:
        return sftp.stat(path)
    except FileNotFoundError:
        return None
