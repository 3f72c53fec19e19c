"""NetworkManager and ModemManager as tests play them, with what real ones answered here.

Values and the order of signals are those of NetworkManager 1.42 and
ModemManager 1.20; numbers are written out, for the drivers' own are on trial.
"""

from __future__ import annotations

from typing import Any

from dbus_fast import Variant

from tests.support.dbus_rig import Played, Refused

NM = "org.freedesktop.NetworkManager"
NM_PATH = "/org/freedesktop/NetworkManager"
MM = "org.freedesktop.ModemManager1"
MM_PATH = "/org/freedesktop/ModemManager1"
NOT_ACTIVE = NM + ".Device.NotActive"
KINDS = {"802-3-ethernet": 1, "802-11-wireless": 2, "gsm": 8}


class Point:
    """An access point: what it is called, how it is protected, and its password."""

    def __init__(
        self, ssid: bytes, password: str = "", strength: int = 70, sae: bool = False
    ) -> None:
        self.ssid = ssid
        self.password = password
        self.strength = strength
        self.rsn = (0x400 if sae else 0x100) | 0x88 if password else 0
        self.in_the_air = True
        self.hidden = False


class PlayedNm(Played):
    """Its devices: eth0, wlan0 and a modem's. ``step_s``: time of one change of state.
    ``dhcp``: whether addresses are given. ``stuck``: activations never end."""

    def __init__(self) -> None:
        super().__init__(NM)
        self.step_s = 0.01
        self.dhcp = True
        self.stuck = False
        #: The signals of a change come so much after the change itself.
        self.signal_late_s = 0.0
        self.points: list[Point] = []
        self.profiles: dict[str, dict[str, dict[str, Variant]]] = {}
        self.numbered = 0
        self.objects[NM_PATH] = {NM: {"WirelessEnabled": Variant("b", True)}}
        for number, (name, kind) in enumerate((("eth0", 1), ("wlan0", 2), ("modem", 8))):
            self.objects[f"{NM_PATH}/Devices/{number}"] = {
                f"{NM}.Device": {
                    "Interface": Variant("s", name),
                    "IpInterface": Variant("s", "" if kind == 8 else name),
                    "Udi": Variant("s", f"{MM_PATH}/Modem/0" if kind == 8 else f"/sys/{name}"),
                    "DeviceType": Variant("u", kind),
                    "State": Variant("u", 30),
                    "ActiveConnection": Variant("o", "/"),
                    "Ip4Config": Variant("o", "/"),
                    "AvailableConnections": Variant("ao", []),
                },
                f"{NM}.Device.Wireless": {
                    "AccessPoints": Variant("ao", []),
                    "ActiveAccessPoint": Variant("o", "/"),
                    "LastScan": Variant("x", 1),
                },
            }
        device, settings = f"{NM}.Device", f"{NM}.Settings"
        self.methods = {
            ("org.freedesktop.DBus.Properties", "Set"): self._set,
            (NM, "GetDeviceByIpIface"): self._by_name,
            (NM, "GetDevices"): lambda path: ("ao", [self._devices()]),
            (NM, "ActivateConnection"): self._activate,
            (device, "Disconnect"): self._disconnect,
            (device + ".Wireless", "RequestScan"): self._scan,
            (settings, "ListConnections"): lambda path: ("ao", [list(self.profiles)]),
            (settings, "AddConnection"): self._add,
            (settings + ".Connection", "GetSettings"): self._settings,
            (settings + ".Connection", "Delete"): self._delete,
        }

    # ---- what a test does ---------------------------------------------------------

    def device(self, name: str) -> str:
        """The device's path."""
        return next(
            path
            for path in self._devices()
            if self.objects[path][f"{NM}.Device"]["Interface"].value == name
        )

    def values(self, name: str, part: str = "Device") -> dict[str, Variant]:
        """The device's properties."""
        return self.objects[self.device(name)][f"{NM}.{part}"]

    def change(self, name: str, state: int, reason: int = 0) -> None:
        """Another state of the device, and its signal."""
        path, values = self.device(name), self.values(name)
        before = values["State"].value
        values["State"] = Variant("u", state)
        if state <= 30:
            values["ActiveConnection"] = values["Ip4Config"] = Variant("o", "/")
            self.values(name, "Device.Wireless")["ActiveAccessPoint"] = Variant("o", "/")
        self.later(
            self.signal_late_s, self.signal, path, f"{NM}.Device", "StateChanged", "uuu",
            state, before, reason,
        )  # fmt: skip

    def lose_point(self, point: Point) -> None:
        """An access point goes out of the air; who used it loses the network."""
        point.in_the_air = False
        self._look_around()
        if self.values("wlan0")["State"].value == 100:
            self._end("wlan0", 8)

    def show(self, point: Point) -> None:
        """An access point that a scan finds."""
        self.points.append(point)

    # ---- methods ------------------------------------------------------------------

    def _devices(self) -> list[str]:
        return [path for path in self.objects if path.startswith(f"{NM_PATH}/Devices/")]

    def _by_name(self, path: str, name: str) -> tuple[str, list[Any]]:
        for one in self._devices():
            if self.objects[one][f"{NM}.Device"]["IpInterface"].value == name:
                return "o", [one]
        raise Refused(f"{NM}.UnknownDevice", "No device found for the requested iface.")

    def _set(self, path: str, interface: str, name: str, value: Variant) -> tuple[str, list[Any]]:
        self.objects[path][interface][name] = value
        if name == "WirelessEnabled":
            self.later(self.step_s, self.change, "wlan0", 30 if value.value else 20)
        return "", []

    def _scan(self, path: str, options: object) -> tuple[str, list[Any]]:
        self.later(self.step_s, self._look_around)
        return "", []

    def _look_around(self) -> None:
        seen = []
        for number, point in enumerate(self.points):
            path = f"{NM_PATH}/AccessPoint/{number}"
            self.objects.pop(path, None)
            if point.in_the_air:
                seen.append(path)
                self._tell(path, point, b"" if point.hidden else point.ssid)
        radio = self.values("wlan0", "Device.Wireless")
        radio["AccessPoints"] = Variant("ao", seen)
        radio["LastScan"] = Variant("x", radio["LastScan"].value + 1)
        self._offer()

    def _tell(self, path: str, point: Point, ssid: bytes) -> None:
        """What is known of an access point; a hidden one's name once it was joined."""
        self.objects[path] = {
            f"{NM}.AccessPoint": {
                "Ssid": Variant("ay", ssid),
                "Strength": Variant("y", point.strength),
                "Flags": Variant("u", 1 if point.rsn else 0),
                "WpaFlags": Variant("u", 0),
                "RsnFlags": Variant("u", point.rsn),
            }
        }

    def _offer(self) -> None:
        """Profiles that could be activated now, by device."""
        for name, kind in (("eth0", "802-3-ethernet"), ("wlan0", "802-11-wireless")):
            found = [
                path
                for path, profile in self.profiles.items()
                if profile["connection"]["type"].value == kind
                and (kind != "802-11-wireless" or self._point(profile) is not None)
            ]
            self.values(name)["AvailableConnections"] = Variant("ao", found)

    def _point(self, profile: dict[str, dict[str, Variant]]) -> Point | None:
        wifi = profile["802-11-wireless"]
        hidden = "hidden" in wifi and wifi["hidden"].value
        for point in self.points:
            found = point.ssid == wifi["ssid"].value and point.in_the_air
            if found and (hidden or not point.hidden):
                return point
        return None

    def _add(self, path: str, profile: dict[str, dict[str, Variant]]) -> tuple[str, list[Any]]:
        if profile["connection"]["type"].value not in KINDS:
            raise Refused(f"{NM}.Settings.InvalidConnection", "connection.type: invalid")
        self.numbered += 1
        path = f"{NM_PATH}/Settings/{self.numbered}"
        self.profiles[path] = profile
        self._offer()
        return "o", [path]

    def _settings(self, path: str) -> tuple[str, list[Any]]:
        if path not in self.profiles:
            raise Refused("org.freedesktop.DBus.Error.UnknownObject", "no such object")
        told = {part: dict(values) for part, values in self.profiles[path].items()}
        told.get("802-11-wireless-security", {}).pop("psk", None)
        return "a{sa{sv}}", [told]

    def _delete(self, path: str) -> tuple[str, list[Any]]:
        self._settings(path)
        del self.profiles[path]
        self._offer()
        return "", []

    def _activate(self, _: str, profile: str, device: str, __: str) -> tuple[str, list[Any]]:
        values = self.objects[device][f"{NM}.Device"]
        name = values["Interface"].value
        if profile == "/":
            offered = values["AvailableConnections"].value
            if name == "wlan0" and not offered:
                raise Refused(f"{NM}.UnknownConnection", "no available connection")
            profile = (offered or ["/"])[0]
        self.numbered += 1
        active = f"{NM_PATH}/ActiveConnection/{self.numbered}"
        self.objects[active] = {
            f"{NM}.Connection.Active": {
                "State": Variant("u", 1),
                "Connection": Variant("o", profile),
            }
        }
        self.change(name, 40)
        values["ActiveConnection"] = Variant("o", active)
        if not self.stuck:
            self.later(self.step_s, self._settle, name, profile, active)
        return "o", [active]

    def _settle(self, name: str, profile: str, active: str) -> None:
        """The end of an activation, as the profile and the air make it."""
        settings = self.profiles.get(profile, {})
        if name == "wlan0":
            point = self._point(settings) if settings else None
            if point is None:
                return self._end(name, 53)
            said = settings.get("802-11-wireless-security", {}).get("psk")
            if point.password and (said is None or said.value != point.password):
                self.change(name, 60, 8)
                return self.later(self.step_s, self._end, name, 7)
        if not self.dhcp and settings.get("ipv4", {}).get("method", Variant("s", "")).value != (
            "manual"
        ):
            self.change(name, 70)
            return self.later(self.step_s, self._end, name, 5)
        return self._up(name, settings, active)

    def _up(self, name: str, settings: dict[str, dict[str, Variant]], active: str) -> None:
        self.objects[active][f"{NM}.Connection.Active"]["State"] = Variant("u", 2)
        ipv4 = settings.get("ipv4", {})
        given = ipv4.get("address-data", Variant("aa{sv}", [{"address": Variant("s", "10.1.2.3")}]))
        config = f"{NM_PATH}/IP4Config/1"
        self.objects[config] = {
            f"{NM}.IP4Config": {
                "AddressData": given,
                "NameserverData": Variant("aa{sv}", [{"address": Variant("s", "10.1.2.53")}]),
            }
        }
        values = self.values(name)
        values["Ip4Config"] = Variant("o", config)
        if name == "wlan0":
            at = next(n for n, one in enumerate(self.points) if one is self._point(settings))
            path = f"{NM_PATH}/AccessPoint/{at}"
            self._tell(path, self.points[at], self.points[at].ssid)
            self.values(name, "Device.Wireless")["ActiveAccessPoint"] = Variant("o", path)
        if name == "modem":
            values["IpInterface"] = Variant("s", "ppp0")
        self.change(name, 100)

    def _end(self, name: str, reason: int) -> None:
        active = self.values(name)["ActiveConnection"].value
        self.objects.pop(active, None)
        self.change(name, 120, reason)
        self.change(name, 30)

    def _disconnect(self, path: str) -> tuple[str, list[Any]]:
        name = self.objects[path][f"{NM}.Device"]["Interface"].value
        if self.values(name)["State"].value <= 30:
            raise Refused(NOT_ACTIVE, "This device is not active")
        self.objects.pop(self.values(name)["ActiveConnection"].value, None)
        self.change(name, 110, 39)
        self.change(name, 30, 39)
        return "", []


class PlayedMm(Played):
    """One modem. ``pin``: what unlocks its SIM, "" when it is not locked."""

    def __init__(self, pin: str = "") -> None:
        super().__init__(MM)
        self.path = f"{MM_PATH}/Modem/0"
        self.pin = pin
        self.tries = 3
        self.power: list[int] = []
        self.resets = 0
        self.messages: dict[str, dict[str, Variant]] = {}
        self.objects[MM_PATH] = {}
        self.plug()
        modem = f"{MM}.Modem"
        self.methods = {
            ("org.freedesktop.DBus.ObjectManager", "GetManagedObjects"): self._managed,
            (modem, "Enable"): self._enable,
            (modem, "SetPowerState"): self._set_power,
            (modem, "Reset"): self._restart,
            (f"{MM}.Sim", "SendPin"): self._send_pin,
            (f"{modem}.Messaging", "List"): lambda path: ("ao", [list(self.messages)]),
            (f"{modem}.Messaging", "Delete"): self._delete,
        }

    @property
    def values(self) -> dict[str, Variant]:
        """The modem's properties."""
        return self.objects[self.path][f"{MM}.Modem"]

    def registration(self, state: int) -> None:
        """Another state of registration."""
        self.objects[self.path][f"{MM}.Modem.Modem3gpp"]["RegistrationState"] = Variant("u", state)

    def plug(self) -> None:
        """The modem is on the bus."""
        self.objects[self.path] = {
            f"{MM}.Modem": {
                "State": Variant("i", 2 if self.pin else 3),
                "StateFailedReason": Variant("u", 0),
                "UnlockRequired": Variant("u", 2 if self.pin else 1),
                "UnlockRetries": Variant("a{uu}", {2: self.tries, 4: 10}),
                "Sim": Variant("o", f"{MM_PATH}/SIM/0"),
                "SignalQuality": Variant("(ub)", [83, True]),
                "EquipmentIdentifier": Variant("s", "867377020000000"),
                "Device": Variant("s", "/sys/devices/usb1/1-1"),
            },
            f"{MM}.Modem.Modem3gpp": {
                "RegistrationState": Variant("u", 4),
                "OperatorName": Variant("s", ""),
            },
        }

    def unplug(self) -> None:
        """The modem is not on the bus."""
        self.objects.pop(self.path, None)

    def message(self, text: str, state: int = 3) -> None:
        """A short message."""
        path = f"{MM_PATH}/SMS/{len(self.messages)}"
        self.messages[path] = {
            "State": Variant("u", state),
            "Number": Variant("s", "+31641600986"),
            "Text": Variant("s", text),
            "Timestamp": Variant("s", "2026-11-21T14:05:09+08:00"),
        }
        self.objects[path] = {f"{MM}.Sms": self.messages[path]}

    def _managed(self, path: str) -> tuple[str, list[Any]]:
        told = {path: value for path, value in self.objects.items() if path == self.path}
        return "a{oa{sa{sv}}}", [told]

    def _enable(self, path: str, on: bool) -> tuple[str, list[Any]]:
        if self.values["State"].value in (1, 2):
            raise Refused(f"{MM}.Error.Core.WrongState", "modem in locked or initializing state")
        self.values["State"] = Variant("i", 8 if on else 3)
        self.registration(1 if on else 4)
        self.objects[self.path][f"{MM}.Modem.Modem3gpp"]["OperatorName"] = Variant(
            "s", "OPEN MOBILE" if on else ""
        )
        return "", []

    def _set_power(self, path: str, state: int) -> tuple[str, list[Any]]:
        self.power.append(state)
        return "", []

    def _restart(self, path: str) -> tuple[str, list[Any]]:
        self.resets += 1
        self.unplug()
        self.later(0.02, self.plug)
        return "", []

    def _send_pin(self, path: str, pin: str) -> tuple[str, list[Any]]:
        if pin != self.pin:
            self.tries -= 1
            self.values["UnlockRetries"] = Variant("a{uu}", {2: self.tries, 4: 10})
            if not self.tries:
                self.values["UnlockRequired"] = Variant("u", 4)
            raise Refused(f"{MM}.Error.MobileEquipment.IncorrectPassword", "Incorrect " + pin)
        self.values["UnlockRequired"] = Variant("u", 1)
        self.values["State"] = Variant("i", 1)
        self.later(0.05, self._started)
        return "", []

    def _started(self) -> None:
        self.values["State"] = Variant("i", 3)

    def _delete(self, path: str, sms: str) -> tuple[str, list[Any]]:
        del self.messages[sms]
        return "", []
