"""Between two flows: what a microcontroller's heap wants, which nothing moves.

What a flow leaves behind (its modules, glyphs, texts) lies where there was room
while it ran, and cuts the free memory into pieces.
"""

import gc
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.ui.view import View

_CPYTHON = sys.implementation.name == "cpython"
#: What every terminal does, leaves first: an import inside an import holds the stack of both.
_PAYING = (
    "firmware.payment.emv.dictionary", "firmware.payment.emv.bits",
    "firmware.payment.emv.certificates", "firmware.payment.emv.session",
    "firmware.payment.emv.oda", "firmware.payment.emv.actions",
    "firmware.payment.emv.cvm", "firmware.payment.emv.kernel",
    "firmware.app.card_run", "firmware.services.online",
    "firmware.app.amount_entry", "firmware.app.sale",
)  # fmt: skip


def prepare() -> None:
    """Once the first idle screen stands: load what paying needs while the heap is in order."""
    if not _CPYTHON:
        gc.collect()
        for name in _PAYING:
            __import__(name)
        gc.collect()


def room() -> "int | None":
    """Bytes of heap that are free; None where the system gives as many as are wanted."""
    if _CPYTHON:
        return None
    gc.collect()
    free: int = gc.mem_free()  # type: ignore[attr-defined]  # typeshed has CPython's gc
    return free


def tidy(view: "View") -> None:
    """After a flow: let go of what can be made again."""
    if not _CPYTHON:
        view.forget()
        gc.collect()
