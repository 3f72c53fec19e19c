"""Calls and signals on D-Bus, for devices that a system service keeps (Linux, CPython only).

dbus-fast (extra ``dbus``) carries the messages. Every call ends in its time, a
connection that broke is made anew by the next call, and what a service says is
checked before it is used: ``number``, ``text`` and the others below raise
BusError for a value of another type. A missing value is its type's empty one.
"""

from collections.abc import Callable, Sequence
from typing import Any

from firmware import aio
from firmware.buses.wire import BusError
from firmware.errors import Timeout

#: One call, and the way to the bus.
CALL_MS = 5000
CONNECT_MS = 5000
#: Signals kept for one listener; more are dropped, for who listens also asks.
SIGNALS = 64

_DAEMON = "org.freedesktop.DBus"
_DAEMON_PATH = "/org/freedesktop/DBus"
_PROPERTIES = "org.freedesktop.DBus.Properties"
_OBJECTS = "org.freedesktop.DBus.ObjectManager"
#: Errors of the bus itself: nobody there to answer.
_ABSENT = tuple(
    _DAEMON + ".Error." + name
    for name in ("ServiceUnknown", "NameHasNoOwner", "NoReply", "Disconnected", "Timeout",
                 "TimedOut", "NoServer", "Spawn.ServiceNotFound")
)  # fmt: skip


class ServiceRefused(BusError):
    """The service answered with an error. ``name``: of the D-Bus error."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(detail)
        self.name = name


# What a service said, checked


def _checked(values: dict[str, Any], name: str, kind: type, empty: Any) -> Any:
    value = values.get(name, empty)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise BusError(f"{name} is no {kind.__name__}: {str(value)[:60]!r}")
    return value


def number(values: dict[str, Any], name: str) -> int:
    """A number; 0 when it is missing. BusError."""
    found: int = _checked(values, name, int, 0)
    return found


def text(values: dict[str, Any], name: str) -> str:
    """A text or an object's path; "" when it is missing. BusError."""
    found: str = _checked(values, name, str, "")
    return found


def flag(values: dict[str, Any], name: str) -> bool:
    """True or False; False when it is missing. BusError."""
    found: bool = _checked(values, name, bool, False)
    return found


def octets(values: dict[str, Any], name: str) -> bytes:
    """Bytes; b"" when they are missing. BusError."""
    found: bytes = _checked(values, name, bytes, b"")
    return found


def items(values: dict[str, Any], name: str, kind: type) -> list[Any]:
    """A list or structure of ``kind``; [] when it is missing. BusError."""
    found = values.get(name, [])
    if not isinstance(found, (list, tuple)) or not all(isinstance(one, kind) for one in found):
        raise BusError(f"{name} is no list of {kind.__name__}: {str(found)[:60]!r}")
    return list(found)


def table(values: dict[str, Any], name: str) -> dict[Any, Any]:
    """A table; {} when it is missing. BusError."""
    found: dict[Any, Any] = _checked(values, name, dict, {})
    return found


def variant(signature: str, value: Any) -> Any:
    """``value`` with its D-Bus type, for settings. Only behind a connection."""
    from dbus_fast import Variant

    return Variant(signature, value)


class Signals:
    """What one object of a service told since ``DBus.listen``; ``close`` it."""

    def __init__(self, bus: Any, owner: str, path: str, interface: str, forget: str) -> None:
        self.bus = bus
        self.forget = forget
        self._from = (owner, path, interface)
        self._queue = aio.Queue(SIGNALS)

    def take(self, message: Any) -> None:
        """The connection's handler: keeps a signal of ours, leaves it to others too."""
        if (message.sender, message.path, message.interface) == self._from:
            self._queue.put((message.member, message.body))

    def clear(self) -> None:
        """Forget what was told."""
        self._queue.clear()

    async def next(self, timeout_ms: int) -> tuple[str, list[Any]] | None:
        """The next one: member and arguments, unchecked; None when none came in time."""
        name, value = await aio.first(("signal", self._queue.get()), timeout_ms=timeout_ms)
        return value if name == "signal" else None


class DBus:
    """A bus. ``address``: where it listens; "" for the system's bus."""

    def __init__(self, address: str = "") -> None:
        self._address = address
        self._bus: Any = None
        self._lock = aio.Lock()

    async def call(
        self,
        service: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
        timeout_ms: int = CALL_MS,
    ) -> list[Any]:
        """Call a method; its results without their D-Bus types. ServiceRefused; any
        other BusError when there is no bus, no service, or no answer in time."""
        bus = await self._connected()
        from dbus_fast import Message, MessageType
        from dbus_fast.unpack import unpack_variants

        what = service + " " + member
        try:
            message = Message(
                destination=service, path=path, interface=interface, member=member,
                signature=signature, body=list(body),
            )  # fmt: skip
            reply = await aio.deadline(timeout_ms, bus.call(message), what)
        except Timeout:
            raise BusError(f"{what}: no answer within {timeout_ms} ms") from None
        except Exception as error:  # noqa: BLE001 - dbus-fast raises whatever broke the connection
            raise BusError(f"{what}: {error or type(error).__name__}") from None
        if reply is None:
            raise BusError(what + ": the bus is gone")
        if reply.message_type is MessageType.ERROR:
            name = str(reply.error_name)
            detail = f"{what}: {name.rsplit('.', 1)[-1]}: {str((reply.body or [''])[0])[:200]}"
            raise BusError(detail) if name in _ABSENT else ServiceRefused(name, detail)
        return [unpack_variants(value) for value in reply.body]

    async def answer(
        self,
        kind: type,
        service: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
    ) -> Any:
        """As ``call``, for a method with one result of ``kind``. BusError as well for
        another one."""
        found = await self.call(service, path, interface, member, signature, body)
        if len(found) < 1 or not isinstance(found[0], kind):
            raise BusError(f"{service} {member}: the answer is no {kind.__name__}")
        return found[0]

    async def properties(self, service: str, path: str, interface: str) -> dict[str, Any]:
        """All properties of an object's interface. BusError."""
        found: dict[str, Any] = await self.answer(
            dict, service, path, _PROPERTIES, "GetAll", "s", [interface]
        )
        return found

    async def set(
        self, service: str, path: str, interface: str, name: str, signature: str, value: Any
    ) -> None:
        """Set one property. BusError."""
        await self._connected()  # what follows needs the package
        body = [interface, name, variant(signature, value)]
        await self.call(service, path, _PROPERTIES, "Set", "ssv", body)

    async def objects(self, service: str, path: str) -> dict[str, dict[str, dict[str, Any]]]:
        """Paths, their interfaces and these' properties, of all objects below ``path``.
        BusError."""
        found = await self.answer(dict, service, path, _OBJECTS, "GetManagedObjects")
        for interfaces in found.values():
            if not isinstance(interfaces, dict) or not all(
                isinstance(values, dict) for values in interfaces.values()
            ):
                raise BusError(service + ": its objects are no table")
        return dict(found)

    async def listen(self, service: str, path: str, interface: str) -> Signals:
        """Hear the signals of one object from now on. BusError when the service is
        not there; who listens asks for the state from time to time as well, for
        signals end without a word when the service or the bus goes."""
        ask = (_DAEMON, _DAEMON_PATH, _DAEMON)
        owner = await self.answer(str, *ask, "GetNameOwner", "s", [service])
        rule = f"type='signal',sender='{service}',path='{path}',interface='{interface}'"
        await self.call(*ask, "AddMatch", "s", [rule])
        signals = Signals(self._bus, owner, path, interface, rule)
        self._bus.add_message_handler(signals.take)
        return signals

    async def unlisten(self, signals: Signals) -> None:
        """End listening. Never raises."""
        if signals.bus is not self._bus or not self._bus.connected:
            return  # the bus forgets who has left
        self._bus.remove_message_handler(signals.take)
        try:
            rule = [signals.forget]
            await self.call(
                _DAEMON, _DAEMON_PATH, _DAEMON, "RemoveMatch", "s", rule, timeout_ms=500
            )
        except BusError:
            pass  # the rule costs a message or two, until the connection ends

    async def _connected(self) -> Any:
        async with self._lock:
            if self._bus is None or not self._bus.connected:
                self._drop()
                self._bus = await self._connect()
            return self._bus

    async def _connect(self) -> Any:
        try:
            from dbus_fast import BusType
            from dbus_fast.aio import MessageBus
        except ImportError:
            raise BusError(
                "the Python package dbus-fast is not installed: pip install 'opentill[dbus]'"
            ) from None
        try:
            bus = MessageBus(bus_address=self._address or None, bus_type=BusType.SYSTEM)
            return await aio.deadline(CONNECT_MS, bus.connect(), "the bus")
        except Timeout:
            raise BusError("D-Bus: no answer from the bus in time") from None
        except aio.CancelledError:
            if bus.connected:
                bus.disconnect()
            raise
        except Exception as error:  # noqa: BLE001 - refused, no such socket, bad address, no login
            raise BusError(f"D-Bus: {error or type(error).__name__}") from None

    def _drop(self) -> None:
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.disconnect()

    async def close(self) -> None:
        """Leave the bus. Never raises, may be called twice."""
        bus = self._bus
        self._drop()
        if bus is not None:
            await aio.first(("left", self._left(bus)), timeout_ms=CONNECT_MS)

    @staticmethod
    async def _left(bus: Any) -> None:
        try:
            await bus.wait_for_disconnect()
        except Exception:  # noqa: BLE001 - it broke before we left, in whatever way
            return


async def until(
    ready: Callable[[], Any], signals: Signals | None = None, look_ms: int = 500
) -> Any:
    """Ask ``ready()``, a coroutine, until it gives something true; it is asked again at
    each signal and each ``look_ms``. The caller bounds it."""
    while True:
        found = await ready()
        if found:
            return found
        if signals is None:
            await aio.sleep_ms(look_ms)
        else:
            await signals.next(look_ms)
