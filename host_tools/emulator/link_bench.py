"""What stands in the way of each link of a board with several, and what became of them.

Conditions are set at the chips: a cable is pulled, an access point goes, a modem
falls silent. Which link carries is the terminal's own word, over its debug link.
"""

from collections.abc import Callable
from typing import Any

from host_tools.emulator.chips.modem_wires import Faults
from host_tools.emulator.rack import Rack
from host_tools.errors import UserError

#: The PIN of the SIM while it asks for one.
SIM_PIN = "1234"
#: Driver of a link: its kind, for the page.
KINDS = {"wire_cable": "cable", "wire_wifi": "wifi", "wire_modem": "mobile"}
#: Driver of a link: its conditions, the first of which is that all is well, the second
#: that nothing is there.
CONDITIONS = {
    "wire_cable": ("well", "unplugged", "silent"),
    "wire_wifi": ("well", "gone", "password", "no_address", "silent"),
    "wire_modem": (
        "well", "no_service", "silent", "dead", "no_sim", "sim_pin", "denied", "roaming",
    ),
}  # fmt: skip
#: Why a link is not up, as the terminal says it.
CAUSES = (
    "stopped", "mute", "no_sim", "sim_pin", "sim_puk", "sim_fault", "searching", "denied",
    "no_service", "no_carrier", "no_address", "captive", "unreached", "host",
)  # fmt: skip
#: Signals by their strength: dBm of an access point, RSRP of a modem.
SIGNALS = {"strong": (-50, -80), "weak": (-82, -112), "faint": (-92, -120)}
#: Conditions of a modem between which and the others it leaves its network.
_REGISTERED = ("well", "silent", "dead")


class LinkBench:
    """The links of ``rack``'s board. ``names``: none for a board with one link."""

    def __init__(self, rack: Rack, note: Callable[[str, str], None]) -> None:
        self._rack = rack
        self._note = note
        links = rack.board.get("link", {})
        self._drivers = {
            name: str(table["driver"])
            for name, table in sorted(links.items(), key=lambda link: int(link[1].get("rank", 0)))
            if table["driver"] in CONDITIONS
        }
        self.names = list(self._drivers)
        self._condition = dict.fromkeys(self.names, "well")
        self._signal = dict.fromkeys(self.names, "strong")
        for name in self.names:
            if self._drivers[name] != "wire_cable":
                self.strength(name, "strong")
        rack.debug.on_links.append(self._hear)

    def _driver(self, name: str) -> str:
        if name not in self._drivers:
            known = ", ".join(self.names) or "none, for this board has one link"
            raise UserError(f"no link {name!r}; known: {known}")
        return self._drivers[name]

    def kinds(self) -> list[dict[str, Any]]:
        """For the page: each link's name, driver's kind and choices."""
        return [
            {
                "name": name,
                "kind": KINDS[driver],
                "conditions": CONDITIONS[driver],
                "signals": () if driver == "wire_cable" else tuple(SIGNALS),
            }
            for name, driver in self._drivers.items()
        ]

    def state(self) -> list[dict[str, Any]]:
        """Of each link: what was set, what the terminal says of it ("" before it said
        anything), whether it carries, and the bytes that went through its chip."""
        told = self._rack.debug.links or {"active": "", "links": []}
        said = {one["name"]: one for one in told["links"]}
        return [
            {
                "name": name,
                "condition": self._condition[name],
                "signal": self._signal[name],
                "state": said.get(name, {}).get("state", ""),
                "cause": said.get(name, {}).get("cause", ""),
                "carries": told["active"] == name and said.get(name, {}).get("state") != "down",
                "bytes": self._bytes(driver),
            }
            for name, driver in self._drivers.items()
        ]

    def one(self, name: str) -> dict[str, Any]:
        """The state of one link. UserError."""
        self._driver(name)
        return next(one for one in self.state() if one["name"] == name)

    def _bytes(self, driver: str) -> int:
        if driver == "wire_modem":
            return self._rack.modem.sent_bytes + self._rack.modem.received_bytes
        chip = self._rack.net if driver == "wire_cable" else self._rack.wlan_net
        return chip.sent_bytes + chip.received_bytes

    @property
    def any_there(self) -> bool:
        """Whether some link's network is there at all."""
        return any(self._condition[n] != CONDITIONS[d][1] for n, d in self._drivers.items())

    def all(self, there: bool) -> None:
        """Every network comes back, or goes: as in a cellar, with the cable pulled."""
        for name, driver in self._drivers.items():
            self.set(name, CONDITIONS[driver][0 if there else 1])

    def set(self, name: str, condition: str) -> None:
        """Put a link into one of its conditions. UserError."""
        driver = self._driver(name)
        if condition not in CONDITIONS[driver]:
            known = ", ".join(CONDITIONS[driver])
            raise UserError(f"no condition {condition!r} of {name}; known: {known}")
        before, self._condition[name] = self._condition[name], condition
        if driver == "wire_cable":
            self._rack.net.link(condition != "unplugged")
            self._rack.net.stalled = condition == "silent"
        elif driver == "wire_wifi":
            self._set_wifi(condition)
        elif condition != before:
            self._set_modem(before, condition)

    def _set_wifi(self, condition: str) -> None:
        point = self._rack.radio.air[0]
        point.on = condition != "gone"
        point.gives_address = condition != "no_address"
        point.key = self._key() + ("x" if condition == "password" else "")
        self._rack.wlan_net.silent = condition == "silent"
        if condition == "no_address":
            self._rack.radio.lose()

    def _key(self) -> str:
        buses = self._rack.board["bus"].values()
        return next(str(bus["key"]) for bus in buses if bus["driver"] == "wire_wlan")

    def _set_modem(self, before: str, condition: str) -> None:
        modem = self._rack.modem
        modem.sim = {"no_sim": "absent", "sim_pin": "pin"}.get(condition, "ready")
        modem.sim_pin = SIM_PIN if condition == "sim_pin" else ""
        modem.tries = 3
        modem.faults = Faults(
            mute=condition == "dead",
            data_dead=condition == "silent",
            cured_by=frozenset({"power"} if condition == "dead" else {"radio", "power"}),
            registration={"no_service": 0, "denied": 3, "roaming": 5}.get(condition, 1),
        )
        if not {before, condition} <= set(_REGISTERED):
            modem.drop_registration()

    def strength(self, name: str, signal: str) -> None:
        """How well a link is heard. UserError."""
        driver = self._driver(name)
        if signal not in SIGNALS or driver == "wire_cable":
            known = ", ".join(SIGNALS)
            raise UserError(f"no signal {signal!r} of {name}; known, but of no cable: {known}")
        self._signal[name] = signal
        wifi, mobile = SIGNALS[signal]
        if driver == "wire_wifi":
            self._rack.radio.air[0].dbm = wifi
        else:
            self._rack.modem.rsrp = mobile

    def _hear(self, report: dict[str, Any]) -> None:
        step = report.get("step")
        if step is None:
            return
        words = f"{step['link']}: {step['what']}"
        if step["cause"]:
            words += f" ({step['cause']})"
        if step["result"]:
            words += f", {step['result']}"
        if step["took_ms"]:
            words += f", {step['took_ms'] / 1000:.1f} s"
        self._note("link step", words)
