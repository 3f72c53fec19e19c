"""One request of a PC as its handler sees it, and how handlers are named."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    #: A handler does one request to its end: it calls ``end`` once, or raises. CallRefused
    #: becomes ERROR with its code, any other TillError ERROR "failed" {1: text key, 2: detail}.
    #: It is cancelled when the PC gives the request up, its deadline passes or the link is
    #: lost for good; what must not be interrupted runs in a task of its own.
    Handler = Callable[["Call"], Awaitable[None]]


class Call:
    """The request's checked ``arguments``; who asks: ``key`` (the PC's static key, 32 bytes),
    ``name`` (as it said or as it was paired) and ``roles`` (empty: a stranger)."""

    service = ""
    key = b""
    name = ""
    #: The session's handshake hash, which names the channel.
    channel = b""
    roles: "tuple[str, ...]" = ()
    arguments: "dict[int, Any]" = {}
    #: The longest message that the PC takes, bytes.
    most_message = 4096

    async def item(self, value: "dict[int, Any]") -> None:
        """Send an ITEM; waits while the PC does not read."""
        raise NotImplementedError

    async def end(self, value: "dict[int, Any]") -> None:
        """Send the END."""
        raise NotImplementedError

    async def next(self) -> "tuple[bool, dict[int, Any]]":
        """The PC's next ITEM, or its END (then True). Not checked: the handler knows which
        schema is due. StreamOver when nothing more can come."""
        raise NotImplementedError
