"""Redis Cluster: `redis+cluster://[user:password@]host:7000,host2:7001[?ssl_…]`: a call goes to its key's owner.

All keys of a room share one slot, so a call has one owner. Who that is, any node tells (CLUSTER SLOTS); a node that
isn't names the one that is (MOVED), or the one that a key has gone to already (ASK).
"""

import asyncio
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from redis import exceptions as fault
from redis.asyncio.connection import AbstractConnection, Connection, ConnectionPool, SSLConnection
from redis.crc import key_slot

from agents.room import address, tls
from agents.room.lines import Call, Lines
from agents.room.outage import REFUSED

SCHEMES = ("redis+cluster", "rediss+cluster")
PORT = 6379
ASK_TIMEOUT = 1.0  # seconds one node is given to tell the slots; then the next is asked
HOPS = 5  # a call is sent on

Address = tuple[str, int]


def cluster(url: str, options: dict[str, Any]) -> "Cluster":
    """Lines to the cluster at `url`. Raise ValueError for a URL that can't be."""
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    secure = parts.scheme == SCHEMES[1]
    query, given = address.options(parts.query)
    if query or parts.path.strip("/") not in ("", "0"):
        raise ValueError("a cluster has one database, and the only options are ssl_…")
    if given and not secure:
        raise ValueError(f"{', '.join(given)}: needs {SCHEMES[1]}://")
    options = {
        **options,
        **address.login(login),
        **given,
        "connection_class": SSLConnection if secure else Connection,
    }
    seeds = address.hosts(hosts, PORT, "node")
    address.checked(ConnectionPool(**options))
    return Cluster(seeds, options)


class Alone(fault.ConnectionError):
    """The server is in no cluster."""


class Cluster:
    """Lines to every node of a cluster that was needed so far."""

    def __init__(self, seeds: list[Address], options: dict[str, Any]) -> None:
        self._seeds = seeds
        self._options = options
        self._nodes: dict[Address, Lines] = {}
        self._ranges: list[tuple[int, int, Address]] = []
        self._moved: dict[int, Address] = {}  # what a MOVED taught since the ranges were read
        self._stale = True
        self._suspect: Address | None = None
        self._learning = asyncio.Lock()
        self._private: WeakKeyDictionary[AbstractConnection, tuple[bytes, Address]] = WeakKeyDictionary()

    async def answer(self, call: Call) -> Any:
        """The answer of the call's owner; of any master for one without a key."""
        at = await self._owner(call.key)
        asking = False
        for _ in range(HOPS):
            try:
                return await self._node(at).answer(call, asking=asking)
            except fault.MovedError as error:
                at, asking = _named(error, at), False
                await self._follow(error.slot_id, at)
            except fault.AskError as error:
                at, asking = _named(error, at), True
            except BaseException as error:
                self._doubt(at, error)
                raise
        raise fault.TryAgainError("the nodes send us in circles")

    async def private(self, key: bytes | None = None) -> AbstractConnection:
        """A connection of the caller's own, who closes it. It breaks when `key` gets another owner: what is published
        beside that key is heard at its owner without fail, and elsewhere only while the nodes hear each other.
        """
        at = await self._owner(key)
        try:
            connection = await self._node(at).private()
        except BaseException as error:
            self._doubt(at, error)
            raise
        if key is not None:
            self._private[connection] = (key, at)
        return connection

    async def explain(self, error: BaseException) -> BaseException:
        """What is behind a fault of these lines: a Misfit where waiting can't mend it, else the error."""
        if isinstance(error, Alone):
            return tls.Misfit("it is no cluster: use redis:// or rediss://")
        at = self._suspect or self._seeds[0]
        return await self._node(at).explain(error)

    async def aclose(self) -> None:
        """Close the connections: the idle ones now, those at work after their answer."""
        for node in self._nodes.values():
            await node.aclose()

    async def _owner(self, key: bytes | None) -> Address:
        if self._stale:
            await self._learn()
        if key is None:
            return random.choice(self._ranges)[2]  # noqa: S311  no secret
        return self._holder(key)

    def _holder(self, key: bytes) -> Address:
        slot = key_slot(key)
        if slot in self._moved:
            return self._moved[slot]
        for first, last, at in self._ranges:
            if first <= slot <= last:
                return at
        self._stale = True
        raise fault.ClusterDownError(f"no node serves slot {slot}")

    def _node(self, at: Address) -> Lines:
        if at not in self._nodes:
            self._nodes[at] = Lines(ConnectionPool(host=at[0], port=at[1], **self._options))
        return self._nodes[at]

    def _doubt(self, at: Address, error: BaseException) -> None:
        """After a fault that may mean that the node is gone, cut off, or no master any more: look who is."""
        if isinstance(error, fault.ResponseError) and not isinstance(
            error, fault.ClusterDownError | fault.ReadOnlyError
        ):
            return
        self._stale, self._suspect = True, at

    async def _follow(self, slot: int, at: Address) -> None:
        self._moved[slot] = at
        self._stale = True  # more than this slot may have moved
        await self._part()

    async def _part(self) -> None:
        """Break the private connections whose key has another owner now."""
        for connection, (key, at) in list(self._private.items()):
            try:
                stays = self._holder(key) == at
            except fault.ClusterDownError:
                stays = True
            if not stays:
                self._private.pop(connection, None)
                await tls.hang_up(connection)

    async def _learn(self) -> None:
        """Ask the seeds and the nodes that are known in turn who owns what: in any order, because one that is cut off
        tells an old story, and the one that failed last.
        """
        async with self._learning:
            if not self._stale:
                return
            known = list(dict.fromkeys([*self._seeds, *self._nodes]))
            if self._ranges:
                random.shuffle(known)
            known.sort(key=lambda at: at == self._suspect)
            trouble: BaseException = fault.ConnectionError("no node")
            for at in known:
                try:
                    async with asyncio.timeout(ASK_TIMEOUT):
                        answer = await self._node(at).answer(_SLOTS)
                except REFUSED:
                    raise
                except (fault.RedisError, OSError) as error:
                    trouble = _meant(error)
                    self._suspect = at
                    continue
                await self._learned(list(_masters(answer, at)))
                return
            raise trouble

    async def _learned(self, ranges: list[tuple[int, int, Address]]) -> None:
        if not ranges:
            raise fault.ClusterDownError("the cluster serves no slots yet")
        self._ranges, self._moved, self._stale, self._suspect = ranges, {}, False, None
        kept = {at for _, _, at in ranges} | set(self._seeds)
        for at in [at for at in self._nodes if at not in kept]:
            await self._nodes.pop(at).aclose()
        await self._part()


class _Slots:
    key = None

    async def over(self, connection: AbstractConnection, *, asking: bool) -> Any:
        await connection.send_command("CLUSTER", "SLOTS")
        return await connection.read_response()


_SLOTS = _Slots()


def _masters(answer: list[Any], asked: Address) -> Iterator[tuple[int, int, Address]]:
    """The ranges of slots with their masters. A node without a name is the one that was asked."""
    for first, last, master, *_ in answer:
        host, port = master[0], int(master[1])
        if host != b"?":  # it has a name, which it doesn't know
            yield first, last, (host.decode() if host else asked[0], port)


def _named(error: fault.AskError, asked: Address) -> Address:
    return error.host or asked[0], error.port


def _meant(error: BaseException) -> BaseException:
    """A server that is no cluster says so in words that help nobody."""
    if isinstance(error, fault.ResponseError) and "cluster support disabled" in str(error):
        return Alone(str(error))
    return error
