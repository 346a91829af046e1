"""Ways from this machine into the cluster's network, which has no way out: sockets made on the other side.

A socket belongs to the network namespace that its thread was in when it was made, and stays usable from anywhere.
"""

from __future__ import annotations

import asyncio
import ctypes
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

CLONE_NEWNET = 0x40000000
CHUNK_BYTES = 65536

Address = tuple[str, int]


def _enter(namespace: Path) -> None:
    """Move this thread into a network namespace, for good."""
    libc = ctypes.CDLL(None, use_errno=True)
    with namespace.open() as file:
        if libc.setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")


class Dialler:
    """Makes TCP connections from inside the network namespace of a process."""

    def __init__(self, pid: int, timeout_seconds: float = 2.0) -> None:
        self.timeout_seconds = timeout_seconds
        # Threads that live in there; several, so that an address of a dead node keeps nobody else waiting.
        self.threads = ThreadPoolExecutor(8, "dialler", _enter, (Path(f"/proc/{pid}/ns/net"),))

    def dial(self, *addresses: Address) -> socket.socket:
        """Connect to the first of the addresses that answers.

        Raises:
            OSError: none does.
        """
        return self.threads.submit(self._dial, addresses).result()

    async def dial_soon(self, *addresses: Address) -> socket.socket:
        """The same, without keeping the event loop waiting."""
        return await asyncio.wrap_future(self.threads.submit(self._dial, addresses))

    def _dial(self, addresses: Sequence[Address]) -> socket.socket:
        for number, address in enumerate(addresses, 1):
            try:
                return socket.create_connection(address, self.timeout_seconds)
            except OSError:
                if number == len(addresses):
                    raise
        raise OSError("no address to connect to")

    def close(self) -> None:
        self.threads.shutdown(wait=False, cancel_futures=True)


class Doorway:
    """A port on this machine's loopback whose connections come out inside the cluster."""

    def __init__(self, dialler: Dialler, *addresses: Address) -> None:
        self.dialler = dialler
        self.addresses = addresses
        self.port = 0

    async def open(self) -> Doorway:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner = await self.dialler.dial_soon(*self.addresses)
        except OSError:
            writer.transport.abort()  # a reset, as a port that nobody listens on
            return
        inner.setblocking(False)
        inner_reader, inner_writer = await asyncio.open_connection(sock=inner)
        await asyncio.gather(self._copy(reader, inner_writer), self._copy(inner_reader, writer))
        for each in (writer, inner_writer):
            each.close()

    @staticmethod
    async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes on until their end, and pass the end on too; a broken side breaks the other."""
        try:
            while data := await reader.read(CHUNK_BYTES):
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:
            with suppress(OSError):
                writer.transport.abort()
