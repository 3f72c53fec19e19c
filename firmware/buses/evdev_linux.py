"""Bus: input devices of the Linux kernel through python-evdev (CPython only).

A device is named by a path (``/dev/input/by-id/...``) or by its vendor and
product (``1a86:e026``, hexadecimal), and grabbed: while it is ours no console
and no other program hears its keys. All key nodes of a device are taken; two
devices of one vendor and product are two sources. A device may come and go:
the folder of devices is looked at twice a second.
"""

import os

from firmware import aio
from firmware.buses.input_events import LOST, InputEvents, InputGone
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Found = tuple[int, int, int]

#: Milliseconds between looks for devices that came.
LOOK_MS = 500
#: Events that wait for a reader; a device that types more without one loses keys.
WAITING = 32768


class EvdevMissing(BusError):
    """The Python package evdev is not installed."""

    text_key = "error.bus"


class _Node:
    """One open event node."""

    def __init__(self, device: "Any", source: int, place: str) -> None:
        self.device = device
        self.source = source
        self.place = place
        #: The kernel lost events: what comes until the next report is a part of one.
        self.torn = False
        self.task: "aio.Task | None" = None


class EvdevInput(InputEvents):
    """``devices``: paths or ``vvvv:pppp``; ``folder``: where event nodes are."""

    def __init__(self, devices: "list[str]", folder: str = "/dev/input") -> None:
        """Needs a running loop. EvdevMissing."""
        try:
            import evdev
        except ImportError as error:
            raise EvdevMissing(
                "evdev is not installed (pip install 'opentill[hid]'): " + str(error)
            ) from error
        self._evdev: "Any" = evdev
        self._devices = devices
        self._folder = folder
        self._got: "list[Found | InputGone]" = []
        #: Sources of which events were lost since there was no more room.
        self._full: "list[int]" = []
        self._came = aio.Event()
        #: Open nodes by their own path.
        self._nodes: "dict[str, _Node]" = {}
        #: (place in ``devices``, where the device is plugged in) of each source.
        self._sources: "list[tuple[int, str]]" = [(i, "") for i in range(len(devices))]
        #: Nodes that are no device of ours, with their time of making.
        self._strangers: "dict[str, int]" = {}
        #: Why a device is not there, by its place in ``devices``.
        self._why: "dict[int, str]" = {}
        self._closed = False
        self._look()
        for i in range(len(devices)):
            if not self._present(i):
                self._got.append(InputGone(i, self._name(i)))
        self._task = aio.spawn("input", self._watch())

    async def read(self) -> "list[Found]":
        """Wait for key events. InputGone, BusError."""
        while not self._got:
            if self._closed:
                raise BusError("the input devices were let go")
            self._came.clear()
            await self._came.wait()
        events: "list[Found]" = []
        while self._got:
            item = self._got[0]
            if isinstance(item, InputGone):
                if not events:
                    self._got.pop(0)
                    raise item
                break
            events.append(item)
            self._got.pop(0)
        return events

    def missing(self) -> "list[str]":
        """Names of the devices that are not there now, with the reason where it is known."""
        return [self._name(i) for i in range(len(self._devices)) if not self._present(i)]

    def drop(self) -> "list[Found]":
        """Take the keys not yet read; a device that went is still told."""
        dropped = [item for item in self._got if not isinstance(item, InputGone)]
        self._got = [item for item in self._got if isinstance(item, InputGone)]
        return dropped

    async def close(self) -> None:
        """Let the devices go."""
        self._closed = True
        tasks = [self._task] + [node.task for node in self._nodes.values() if node.task]
        for task in tasks:
            task.cancel()
        for task in tasks:
            await task.done.wait()
        for path in list(self._nodes):  # whose listener never ran
            self._nodes.pop(path).device.close()
        self._got = []
        self._came.set()

    # Devices that come

    async def _watch(self) -> None:
        while True:
            await aio.sleep_ms(LOOK_MS)
            self._look()

    def _name(self, index: int) -> str:
        why = self._why.get(index, "")
        return self._devices[index] + (" (" + why + ")" if why else "")

    def _present(self, index: int) -> bool:
        return any(self._sources[node.source][0] == index for node in self._nodes.values())

    def _look(self) -> None:
        """Open and grab what is ours and not open yet."""
        try:
            names = sorted(os.listdir(self._folder))
        except OSError:
            names = []
        nodes = [self._folder + "/" + name for name in names if name.startswith("event")]
        for path in list(self._strangers):
            if path not in nodes:
                self._strangers.pop(path)
        for i in range(len(self._devices)):
            wanted = self._devices[i]
            if wanted.startswith("/"):
                if os.path.exists(wanted):
                    self._try(os.path.realpath(wanted), i)
                else:
                    self._why[i] = ""
        for path in nodes:
            real = os.path.realpath(path)
            try:
                made = os.stat(path).st_ctime_ns
            except OSError:
                continue  # gone between the list and the look
            new = real not in self._nodes and self._strangers.get(path) != made
            if new and self._try_product(path, real):
                self._strangers[path] = made

    def _try_product(self, path: str, real: str) -> bool:
        """Take the node if a vendor and product of ours is on it; True when it is a stranger."""
        wanted = [i for i in range(len(self._devices)) if not self._devices[i].startswith("/")]
        if not wanted:
            return False
        try:
            device = self._evdev.InputDevice(path)
        except OSError:
            return False  # not yet ours to open: udev is still at it
        product = f"{device.info.vendor:04x}:{device.info.product:04x}"
        for i in wanted:
            if self._devices[i].lower() == product:
                return not self._take(device, real, i)
        device.close()
        return True

    def _try(self, path: str, index: int) -> None:
        if path in self._nodes:
            return
        try:
            device = self._evdev.InputDevice(path)
        except OSError as error:
            self._why[index] = str(error)
            return
        self._take(device, path, index)

    def _take(self, device: "Any", path: str, index: int) -> bool:
        """Grab the device's keys and listen. False when the node has no keys."""
        if self._evdev.ecodes.EV_KEY not in device.capabilities():
            if not self._present(index):  # another node of the device may have them
                self._why[index] = "it has no keys"
            device.close()
            return False
        try:
            device.grab()
        except OSError as error:
            self._why[index] = "another program holds it: " + str(error)
            device.close()
            return True
        self._why.pop(index, None)
        place = str(device.phys).split("/")[0]
        node = _Node(device, self._source(index, place), place)
        self._nodes[path] = node
        node.task = aio.spawn("input " + path, self._listen(path, node))
        return True

    def _source(self, index: int, place: str) -> int:
        """The number of a device: the one it had at that plug, else a free one, else a new one."""
        used = [node.source for node in self._nodes.values()]
        for source in range(len(self._sources)):
            if self._sources[source] == (index, place) and place:
                return source
        for source in range(len(self._sources)):
            if self._sources[source][0] == index and source not in used:
                self._sources[source] = (index, place)
                return source
        self._sources.append((index, place))
        return len(self._sources) - 1

    # Keys

    async def _listen(self, path: str, node: _Node) -> None:
        gone = ""
        try:
            while True:
                await aio.readable(node.device)
                try:
                    events = list(node.device.read())
                except BlockingIOError:
                    continue  # woken for nothing
                if not events:
                    raise OSError("end of events")
                for event in events:
                    self._event(node, event)
        except OSError as error:
            gone = str(error)
        finally:
            self._nodes.pop(path, None)
            node.device.close()  # lets go of the grab too
        self._leave(node, gone)

    def _event(self, node: _Node, event: "Any") -> None:
        """SYN_DROPPED: Documentation/input/event-codes.rst."""
        codes = self._evdev.ecodes
        if event.type == codes.EV_SYN:
            if event.code == codes.SYN_DROPPED:
                node.torn = True
                self._put((node.source, LOST, 1))
            elif event.code == codes.SYN_REPORT:
                node.torn = False
        elif event.type == codes.EV_KEY and not node.torn:
            self._put((node.source, event.code, event.value))

    def _put(self, found: "Found") -> None:
        if len(self._got) < WAITING:
            self._full = []
            self._got.append(found)
        elif found[0] not in self._full:
            self._full.append(found[0])
            self._got.append((found[0], LOST, 1))
        self._came.set()

    def _leave(self, node: _Node, why: str) -> None:
        """The device of a node went: let its other nodes go, and say it once."""
        others = [other for other in self._nodes.values() if other.source == node.source]
        for other in others:
            if other.task is not None:
                other.task.cancel()
        for item in reversed(self._got):
            if isinstance(item, InputGone):
                if item.source == node.source:
                    return  # it came and went unheard
            elif item[0] == node.source:
                break
        self._got.append(
            InputGone(node.source, self._name(self._sources[node.source][0]) + ": " + why)
        )
        self._came.set()
