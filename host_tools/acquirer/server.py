"""The bank on sockets: TLS for terminals, HTTP on loopback for its control."""

import asyncio
import contextlib
import ipaddress
import logging
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable

from sqlalchemy.exc import SQLAlchemyError

from host_tools.acquirer.bank import Bank
from host_tools.acquirer.control import control_app
from host_tools.acquirer.inprocess import loop_call_later
from host_tools.acquirer.session import TlsServerSession
from host_tools.errors import UserError
from host_tools.quiet_uvicorn import QuietServer

#: Connections at once; further ones are closed unread.
MAX_PEERS = 64

#: Seconds that a peer may take to read what is sent to it.
WRITE_TIMEOUT_S = 30

log = logging.getLogger("opentill.acquirer")


class AcquirerServer:
    """Serves ``bank`` to terminals. ``port`` 0 takes a free one; read it back
    from ``port`` after ``start``. ``on_sent`` as in TlsServerSession."""

    def __init__(
        self,
        bank: Bank,
        context: ssl.SSLContext,
        host: str = "127.0.0.1",
        port: int = 8583,
        on_sent: Callable[[bytes], None] | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self._bank = bank
        self._context = context
        self._on_sent = on_sent
        self._server: asyncio.Server | None = None
        self._peers: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. UserError when the address cannot be had."""
        try:
            self._server = await asyncio.start_server(self._accept, self.host, self.port)
        except OSError as error:
            number = error.errno or 0  # negative where the name is unknown
            reason = os.strerror(number) if number > 0 else error.strerror
            raise UserError(
                f"cannot listen on {self.host}:{self.port}: {reason}; give --host or --port"
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and end every connection."""
        if self._server is None:
            return
        self._server.close()
        for peer in list(self._peers):
            peer.cancel()
        await asyncio.gather(*self._peers, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._peers) >= MAX_PEERS:
            log.warning("%d peers are connected; one more is refused", MAX_PEERS)
            writer.close()
            return
        self._peers.add(task)
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:
            pass  # The server stops; a stream callback must not pass this on.
        finally:
            self._peers.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        address = f"{peer[0]}:{peer[1]}" if peer else "?"
        session: TlsServerSession

        def push() -> None:
            data = session.take()
            if data and not writer.is_closing():
                writer.write(data)
            if session.closed:
                # Sends what was written, then ends the read below.
                writer.close()

        session = TlsServerSession(
            self._bank, self._context, loop_call_later, address, push, self._on_sent
        )
        try:
            while not session.closed:
                session.feed(await reader.read(4096))
                async with asyncio.timeout(WRITE_TIMEOUT_S):
                    await writer.drain()
        except (ConnectionError, TimeoutError) as error:
            log.info("%s: %s", address, error or type(error).__name__)
        except SQLAlchemyError as error:
            # The books failed: this payment has no answer, the terminal reverses it.
            log.error("%s: %s", address, error)
        finally:
            session.abort()
            log.info("%s closed: %s", address, session.reason)


@contextlib.asynccontextmanager
async def control_server(bank: Bank, host: str, port: int) -> AsyncIterator[int]:
    """The control API over HTTP while the context lasts; gives its port.

    Only a loopback address is taken: whoever reaches it may make the bank lie.
    """
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if not loopback:
        raise UserError(f"the control API listens on loopback only, not on {host}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # It listens at once, so that a caller who is told the port can connect.
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise UserError(
            f"cannot listen on {host}:{port} for control: {error.strerror}; give --control-port"
        ) from error
    server = QuietServer(control_app(bank))
    task = asyncio.create_task(server.serve([listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task
        listener.close()
