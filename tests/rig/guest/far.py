"""Chips in a process of their own.

Some libraries hold Python's lock while the kernel asks the device (spidev opening its file):
a device served by a thread beside them would never answer.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from operator import attrgetter
from typing import Any


class Far:
    """What ``make`` gives lives in the other process; its parts are named by dotted names,
    their values go through a pipe."""

    def __init__(self, make: Callable[[], Any]) -> None:
        """``make`` runs in the other process; what it raises is raised here."""
        context = multiprocessing.get_context("fork")
        self._pipe, pipe = context.Pipe()
        ends = pipe, self._pipe
        self._process = context.Process(target=_serve, args=(*ends, make), daemon=True)
        self._process.start()
        pipe.close()
        self._answer()

    def get(self, name: str) -> Any:
        """The value of ``name``."""
        return self._ask("get", name)

    def set(self, name: str, value: Any) -> None:
        """Give ``name`` another value."""
        self._ask("set", name, value)

    def call(self, name: str, *arguments: Any) -> Any:
        """What the method ``name`` returns; an exception of it is raised here."""
        return self._ask("call", name, *arguments)

    def _ask(self, *what: Any) -> Any:
        self._pipe.send(what)
        return self._answer()

    def _answer(self) -> Any:
        if not self._pipe.poll(60):
            raise TimeoutError("the process with the chips says nothing")
        fine, value = self._pipe.recv()
        if not fine:
            raise value
        return value

    def close(self) -> None:
        """End the process, and with it its devices."""
        self._pipe.close()
        self._process.join(20)
        assert self._process.exitcode == 0, "the process with the chips did not end"


def _serve(pipe: Connection, other_end: Connection, make: Callable[[], Any]) -> None:
    other_end.close()  # else its end would never be heard of
    target: Any = None
    what: tuple[Any, ...] = ("make",)
    while True:
        try:
            value = None
            if what[0] == "make":
                target = make()
            elif what[0] == "get":
                value = attrgetter(what[1])(target)
            elif what[0] == "set":
                holder, _, last = what[1].rpartition(".")
                setattr(attrgetter(holder)(target) if holder else target, last, what[2])
            else:
                value = attrgetter(what[1])(target)(*what[2:])
            answer = True, value
        except Exception as error:  # noqa: BLE001 - raised where it was asked
            answer = False, error
        pipe.send(answer)
        try:
            what = pipe.recv()
        except EOFError:
            return
