"""Contract: the byte pipe to a PC (USB CDC-ACM, UART, TCP or pseudo-terminal)."""

from firmware.errors import TillError


class PipeError(TillError):
    """The pipe broke."""

    text_key = "error.pc_pipe"


class PipeClosed(PipeError):
    """The other end went away; a later ``read`` may find it back."""


class PcPipe:
    """Bytes in, bytes out; framing, retransmission and encryption live above.
    ``reliable``: what is written arrives whole or the pipe breaks (TCP)."""

    reliable = False

    async def read(self, most: int) -> bytes:
        """Wait for 1 to ``most`` bytes. Cancelling it loses nothing. PipeClosed."""
        raise NotImplementedError

    async def write(self, data: bytes) -> None:
        """Send all of ``data``. PipeClosed."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close. Never raises, may be called twice."""
        raise NotImplementedError
