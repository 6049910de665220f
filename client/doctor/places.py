"""Places: directories that must be writable, the disk, the prompts, Redis."""

import shutil
import tempfile

from agents.domain.errors import MiniLabError
from client.doctor.rows import Level, Row, Subject
from client.roster import read_crew

AGENTS_WRITE = ("generated_iac", "docs", "tmp", ".minilab")
WRITTEN = (*AGENTS_WRITE, "client/logs")
_ENOUGH, _LITTLE = 1 << 30, 100 << 20  # bytes


def prompts(subject: Subject) -> Row:
    """Whether every role's prompt parses."""
    crew = read_crew(subject.home / "prompts")
    if crew.faults:
        return Row("prompts", Level.FAIL, "; ".join(crew.faults), "mend the front matter, or restore the file")
    return Row("prompts", Level.OK, f"{len(crew.roles)} roles")


def workspace(subject: Subject) -> Row:
    """Whether a file can be written where the team and we write."""
    # in a container only the console keeps the conversation
    for place in AGENTS_WRITE if subject.sandbox == "container" else WRITTEN:
        directory = subject.home / place
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=directory) as probe:
                probe.write(b"minilab")
        except OSError as error:
            return Row("workspace", Level.FAIL, f"{directory}: {error.strerror}", "make it writable for you")
    return Row("workspace", Level.OK, str(subject.home))


def disk(subject: Subject) -> Row:
    """Free space where everything is kept."""
    free = shutil.disk_usage(subject.home).free
    level = Level.OK if free >= _ENOUGH else Level.WARN if free >= _LITTLE else Level.FAIL
    return Row(
        "disk space", level, f"{free / (1 << 30):.1f} GiB free", "" if level is Level.OK else "free some space"
    )


async def redis(subject: Subject) -> Row:
    """The Redis a session would use; one given by URL has to answer."""
    from agents.room import embedded, open_room

    if subject.redis_url is None:
        if found := embedded.find_server():
            return Row("redis", Level.OK, f"{found[0]} ({found[1]}), started with a session")
        return Row("redis", Level.WARN, "no server: a stand-in that forgets", "apt install redis-server")
    try:
        opened = await open_room(subject.redis_url, subject.room, patience=2.0)
        try:
            await opened.mission.read()  # of a cluster, the node that has the room has to answer
        finally:
            await opened.aclose()
    except MiniLabError as error:
        return Row("redis", Level.FAIL, str(error), "start that Redis, or mend or remove REDIS_URL")
    scheme = subject.redis_url.partition(":")[0]
    return Row("redis", Level.OK, f"REDIS_URL answers ({scheme})")
