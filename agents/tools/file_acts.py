"""What the file tools do."""

import asyncio
from dataclasses import dataclass

from agents.domain.errors import InvalidArguments, MissingBinary, ToolError
from agents.domain.ports import Redactor
from agents.domain.redaction import MASK
from agents.executors.lint import Lint
from agents.executors.places import printable
from agents.executors.search import Search, listing
from agents.executors.texts import Content, diff, line_ends, lines_of, numbered
from agents.executors.versions import Cause, Versions
from agents.executors.workspace import Entry, Workspace, Written
from agents.tools.file_args import (
    AppendArgs,
    DiffArgs,
    EditArgs,
    FolderArgs,
    PathArgs,
    ReadArgs,
    RestoreArgs,
    SaveArgs,
    SearchArgs,
)
from agents.tools.registry import Act, Output

PAGE_CHARS = 7_000  # what read_file shows at once: under the cap that sends output to a file
LISTED = 300


@dataclass(frozen=True, slots=True)
class Files:
    """What the file tools work with."""

    workspace: Workspace
    versions: Versions
    search: Search
    lint: Lint
    redactor: Redactor

    async def save(self, args: SaveArgs, act: Act) -> Output:
        """Write the whole file."""
        name, content = self._clean(args.path, args.content)
        async with self.workspace.exclusive(name):
            before = await asyncio.to_thread(self._text_before, name)
            self._no_mask(name, content, before)
            written = await asyncio.to_thread(self.workspace.write_text, name, content)
            kept = await self._keep(written, "save_file", act)
        return Output(await self._linted(f"Saved {_size(written)}. {kept}", name, content))

    async def append(self, args: AppendArgs, act: Act) -> Output:
        """Add text at the end."""
        name, content = self._clean(args.path, args.content)
        async with self.workspace.exclusive(name):
            self._no_mask(name, content, "")
            written = await asyncio.to_thread(self.workspace.append_text, name, content)
            kept = await self._keep(written, "append_file", act)
        return Output(await self._linted(f"Appended; now {_size(written)}. {kept}", name, _text(written.after)))

    async def edit(self, args: EditArgs, act: Act) -> Output:
        """Replace one text by another, and show the difference."""
        name, new = self._clean(args.path, args.new)
        async with self.workspace.exclusive(name):
            if MASK in args.old:
                raise InvalidArguments(f"`old` holds {MASK}, which is not what the file says: leave that line out")
            self._no_mask(name, new, "")
            written = await asyncio.to_thread(self.workspace.edit, name, args.old, new)
            kept = await self._keep(written, "edit_file", act)
        after = _text(written.after)
        change = diff(name, _text(written.before), after)
        return Output(await self._linted(f"Edited {_size(written)}. {kept}\n{change}", name, after))

    async def delete(self, args: PathArgs, act: Act) -> Output:
        """Take the file away."""
        name = self.workspace.shown(args.path)
        async with self.workspace.exclusive(name):
            written = await asyncio.to_thread(self.workspace.delete, name)
            kept = await self._keep(written, "delete_file", act) if written.before is not None else ""
        return Output(f"Deleted {name}. {kept}".rstrip())

    async def read(self, args: ReadArgs, act: Act) -> Output:
        """Show the file, or some of its lines."""
        content = self.workspace.read(args.path)
        if content.fault:
            return Output(content.fault)
        return Output(_page(content, args.start_line, args.end_line))

    async def entries(self, args: FolderArgs, act: Act) -> Output:
        """Show what is there."""
        return Output(await asyncio.to_thread(self._listing, args.path))

    async def find(self, args: SearchArgs, act: Act) -> Output:
        """Show the lines that match."""
        found = await self.search.run(args.pattern, args.path)
        left_out = f" ({found.left_out} binary or very large files were left out)" if found.left_out else ""
        if not found.matches:
            return Output(f"No line of {found.files} files matches {args.pattern!r}{left_out}.")
        more = "; there are more: use a narrower pattern or folder" if found.more else ""
        return Output(f"{len(found.matches)} matching lines{left_out}{more}\n{listing(found.matches)}")

    async def history(self, args: PathArgs, act: Act) -> Output:
        """Show the file's versions."""
        name = self._versioned(args.path)
        versions = await self.versions.history(name)
        if not versions:
            return Output(f"{name} has no versions yet: no tool has written it.")
        lines = [f"{version.id}  {version.time}  {version.author}  {version.title}" for version in versions]
        return Output(f"Versions of {name}, newest first:\n" + "\n".join(lines))

    async def difference(self, args: DiffArgs, act: Act) -> Output:
        """Show what changed between a version and now, or with the last write."""
        name = self._versioned(args.path)
        if args.version is not None:
            before, after = await self._version(name, args.version), await asyncio.to_thread(self._now, name)
            title = f"{name}: from version {args.version} to the file as it is now"
        else:
            versions = await self.versions.history(name, limit=2)
            if not versions:
                raise ToolError(f"{name} has no versions yet: no tool has written it")
            last = versions[0]
            after = await self._version(name, last.id)
            before = await self._version(name, versions[1].id) if len(versions) > 1 else ""
            title = f"{name}: what version {last.id} ({last.author}: {last.title}) changed"
        return Output(f"{title}\n{diff(name, before, after) or 'no difference'}")

    async def restore(self, args: RestoreArgs, act: Act) -> Output:
        """Put an earlier version back, as a new write."""
        name = self._versioned(args.path)
        content = await self.versions.content(name, args.version)
        if content is None:
            raise InvalidArguments(f"{name} did not exist in version {args.version}; see file_history")
        async with self.workspace.exclusive(name):
            written = await asyncio.to_thread(self.workspace.write_bytes, name, content)
            kept = await self._keep(written, "file_restore", act)
        head = f"Restored {_size(written)} from version {args.version}. {kept}"
        restored = Content(name, content, len(content))
        return Output(head if restored.fault else await self._linted(head, name, restored.required_text()))

    def _clean(self, path: str, content: str) -> tuple[str, str]:
        """The place's one name, and the content as it may be stored: what lies in docs/ is read by everybody."""
        name = self.workspace.shown(path)
        return name, self.redactor.text(content) if name.startswith("docs/") else content

    def _no_mask(self, name: str, content: str, before: str) -> None:
        """Raise InvalidArguments where a mask the model saw would overwrite the secret behind it."""
        if name.startswith(("infra/", "config/")) and content.count(MASK) > before.count(MASK):
            raise InvalidArguments(
                f"the content for {name} holds {MASK}, which stands for a secret you are not shown: writing it would "
                "destroy the secret. Change only the other lines with edit_file, or refer to the secret by a variable"
            )

    def _text_before(self, name: str) -> str:
        if self.workspace.kind(name) != "file":
            return ""
        content = self.workspace.read(name)
        return "" if content.fault else content.required_text()

    def _listing(self, path: str) -> str:
        lines, count = [], 0
        for entry in self.workspace.entries(path, states=True):
            count += 1
            if count <= LISTED:
                lines.append(_line(entry))
        if not lines:
            return f"{self.workspace.shown(path)}/ is empty."
        if count > LISTED:
            lines.append(f"… and {count - LISTED:,} more; list a smaller folder")
        return "\n".join(lines)

    def _versioned(self, path: str) -> str:
        name = self.workspace.shown(path)
        if not self.versions.covers(name):
            raise ToolError(f"{name}: docs/ and tmp/ have no versions; only infra/ and config/ have")
        return name

    async def _version(self, name: str, version: str) -> str:
        content = await self.versions.content(name, version)
        return _text(content) if content is not None else ""

    def _now(self, name: str) -> str:
        return self.workspace.read_text(name) if self.workspace.kind(name) is not None else ""

    async def _keep(self, written: Written, tool: str, act: Act) -> str:
        """Keep a version and say so. The file is written by now: a fault here is told, and undoes nothing."""
        if not self.versions.covers(str(written.place)):
            return ""
        try:
            version = await self.versions.keep(written, Cause(act.role, tool, act.claim.turn, act.step, act.call_id))
        except MissingBinary:
            return "Versions are off: git is not installed."
        except ToolError as error:
            return f"No version was kept: {error}."
        return f"Version {version}." if version else "Nothing changed."

    async def _linted(self, head: str, name: str, text: str) -> str:
        verdict = await self.lint.check(name, text)
        return f"{head.rstrip()}\n{verdict}".rstrip()


def _text(content: bytes | None) -> str:
    """What a diff shows of a file's bytes."""
    return (content or b"").decode("utf-8", "replace")


def _size(written: Written) -> str:
    content = written.after or b""
    return f"{written.place} ({len(content):,} bytes, lines: {len(lines_of(_text(content))):,})"


def _line(entry: Entry) -> str:
    name = printable(str(entry.place))
    if entry.kind == "folder":
        return f"{name}/"
    if entry.kind == "state":
        return f"{name}  (Terraform's state: see run_terraform output, state_list, state_show)"
    return f"{name}  {entry.size:,} bytes" if entry.kind == "file" else f"{name}  ({entry.kind}: not readable)"


def _page(content: Content, start: int | None, end: int | None) -> str:
    """The text under one line that says what is shown; lines are numbered where a range is asked for."""
    text = content.required_text()
    lines = lines_of(text.removeprefix("\ufeff"))
    total, ends = len(lines), line_ends(text)
    first, last = start or 1, min(end or total, total)
    if first > max(total, 1) or (end is not None and end < first):
        raise InvalidArguments(f"{content.name} has {total} lines; {first}–{end or total} is no range of them")
    shown = _fitting(lines[first - 1 : last])
    until = first - 1 + len(shown)
    head = f"{content.name} — lines: {total:,}, {content.size:,} bytes" + (
        f", {ends} line ends" if ends != "LF" else ""
    )
    if (first, until) != (1, total):
        head += f"; lines {first}–{until}"
    tail = f"\n… more: read_file with start_line={until + 1}" if until < last else ""
    body = numbered(shown, first) if start or end else "\n".join(shown)
    return f"{head}\n{body}{tail}"


def _fitting(lines: list[str]) -> list[str]:
    """As many lines as fit on a page, at least one; a line longer than a page is cut."""
    shown: list[str] = []
    room = PAGE_CHARS
    for line in lines:
        if len(line) + 8 > room and shown:
            break
        cut = f"{line[:PAGE_CHARS]} … ({len(line) - PAGE_CHARS:,} more characters in this line)"
        shown.append(line if len(line) <= PAGE_CHARS else cut)
        room -= len(line) + 8
    return shown
