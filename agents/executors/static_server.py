"""A program of its own: serves one folder on 127.0.0.1, files and listings, GET and HEAD.

It runs as `python -I -S static_server.py <root> <path below root> <port>` and imports nothing of ours. No symbolic
link is followed, neither in the path it was given nor below it, and names that start with a dot aren't served.
"""

import html
import mimetypes
import os
import shutil
import stat
import sys
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote, urlsplit

_PATH = getattr(os, "O_PATH", os.O_RDONLY)
_FOLDER = _PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ROOT, _BELOW, _PORT = 1, 2, 3


def opened(folder: int, parts: list[str]) -> int:
    """A descriptor of what lies at `parts` below `folder`. Raise OSError for a link on the way."""
    descriptor = os.dup(folder)
    for number, part in enumerate(parts):
        try:
            deeper = os.open(part, _READ if number == len(parts) - 1 else _FOLDER, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = deeper
    return descriptor


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    root: str
    below: list[str]

    def folder(self) -> int:
        """The served folder, opened afresh: it may have been replaced by a newer one."""
        top = os.open(self.root, _PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return opened(top, self.below)
        finally:
            os.close(top)


class _Requests(BaseHTTPRequestHandler):
    server: _Server
    server_version = "minilab"
    sys_version = ""
    timeout = 30

    def do_GET(self) -> None:
        """Answer with the file or listing."""
        parts = [part for part in unquote(urlsplit(self.path).path).split("/") if part]
        if any(part.startswith(".") or "\0" in part for part in parts):
            return self.send_error(HTTPStatus.NOT_FOUND)
        try:
            folder = self.server.folder()
        except OSError:
            return self.send_error(HTTPStatus.NOT_FOUND, "the folder is gone")
        try:
            descriptor = opened(folder, parts)
        except OSError:
            return self.send_error(HTTPStatus.NOT_FOUND)
        finally:
            os.close(folder)
        with suppress(ConnectionError, TimeoutError):
            self._answer(descriptor, parts)
        return None

    do_HEAD = do_GET

    def _answer(self, descriptor: int, parts: list[str]) -> None:
        try:
            if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                return self._file(descriptor, parts[-1])
            if not urlsplit(self.path).path.endswith("/"):
                return self._redirect("/" + "".join(quote(part) + "/" for part in parts))
            try:
                index = os.open("index.html", _READ, dir_fd=descriptor)
            except OSError:
                return self._listing(descriptor, parts)
            try:
                return self._file(index, "index.html")
            finally:
                os.close(index)
        finally:
            os.close(descriptor)

    def _file(self, descriptor: int, name: str) -> None:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return self.send_error(HTTPStatus.NOT_FOUND)
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        if kind.startswith("text/"):
            kind += "; charset=utf-8"
        self._head(kind, status.st_size)
        if self.command != "HEAD":
            with open(os.dup(descriptor), "rb") as file:  # noqa: PTH123  a descriptor, not a path
                shutil.copyfileobj(file, self.wfile)
        return None

    def _listing(self, descriptor: int, parts: list[str]) -> None:
        readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=descriptor)
        try:
            with os.scandir(readable) as entries:
                names = sorted(
                    entry.name + "/" * entry.is_dir(follow_symlinks=False)
                    for entry in entries
                    if not entry.name.startswith(".") and not entry.is_symlink()
                )
        finally:
            os.close(readable)
        title = html.escape("/" + "/".join(parts))
        items = "".join(f'<li><a href="./{quote(name)}">{html.escape(name)}</a></li>' for name in names)
        page = f"<!doctype html><meta charset=utf-8><title>{title}</title><h1>{title}</h1><ul>{items}</ul>"
        body = page.encode("utf-8", "replace")
        self._head("text/html; charset=utf-8", len(body))
        if self.command != "HEAD":
            self.wfile.write(body)

    def _redirect(self, where: str) -> None:
        self.send_response(HTTPStatus.MOVED_PERMANENTLY)
        self.send_header("Location", where)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _head(self, kind: str, size: int) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(size))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: nobody reads it, and a request line is foreign text."""


def main(argv: list[str]) -> None:
    """Serve until killed."""
    with _Server(("127.0.0.1", int(argv[_PORT])), _Requests) as server:
        server.root, server.below = argv[_ROOT], [part for part in argv[_BELOW].split("/") if part]
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv)
