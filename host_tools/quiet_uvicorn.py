"""uvicorn inside a command: signals are the command's, stderr is for what is wrong here."""

import contextlib
import logging
from collections.abc import Generator

import uvicorn
from starlette.types import ASGIApp

#: No request, and no message of a page, is longer.
_MAX_FRAME = 65_536


class QuietServer(uvicorn.Server):
    """Serves ``app`` in a loop that is not its own."""

    def __init__(self, app: ASGIApp, *, websockets: bool = False) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                port=0,
                log_level="warning",
                access_log=False,
                lifespan="off",
                ws="auto" if websockets else "none",
                ws_max_size=_MAX_FRAME,
            )
        )
        logging.getLogger("uvicorn.error").addFilter(_not_a_peers_fault)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _not_a_peers_fault(record: logging.LogRecord) -> bool:
    """False for a text frame that is not UTF-8: its sender was hung up on with 1007
    (RFC 6455, 8.1), and uvicorn tells that with a traceback."""
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, UnicodeDecodeError) and record.module == "websockets_sansio_impl")
