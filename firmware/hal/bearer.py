"""Contract: bearer, one link below ``hal.network`` (cable, Wi-Fi, mobile data).

A bearer says what it has (registration, an address) and does what it is told.
Whether the bank can be reached through it is for an end-to-end probe above
(``services/link_supervisor.py``), which also decides when to reset what.
"""

from firmware.errors import TillError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.hal.wifi import StaticIp

#: It carries; it carries badly or nobody knows how well; it does not carry.
UP, DEGRADED, DOWN = "up", "degraded", "down"

#: Levels of ``Bearer.reset``, gentlest first: the connection alone; the radio
#: (27.007, 8.2: +CFUN); the modem's own software; the USB device taken from
#: the bus and given back; its supply or power key.
LEVELS = ("bearer", "radio", "modem", "usb", "power")

#: Why a bearer is not up. ``stopped``: nobody started it. ``mute``: the device
#: does not answer. ``searching``, ``denied``, ``no_service``: registration
#: (27.007, 7.2); of Wi-Fi ``denied``: the access point refuses the password,
#: ``no_service``: no known network is in the air. ``no_carrier``: registered, or
#: in the air, but no connection. ``no_address``: connected, but nobody gives an address.
CAUSES = (
    "", "stopped", "mute", "no_sim", "sim_pin", "sim_puk", "sim_fault", "searching", "denied",
    "no_service", "no_carrier", "no_address",
)  # fmt: skip


#: How long a status may take: the time of a whole recovery stands on it.
STATUS_MS = 4000


class BearerError(TillError):
    """The bearer did not come up, or the reset was not done. ``cause``: of CAUSES."""

    text_key = "error.network_link"
    cause = "no_carrier"


class BearerMute(BearerError):
    """The device does not answer; a harder reset may help."""

    text_key = "error.modem"
    cause = "mute"


class SimMissing(BearerError):
    """No SIM, or it cannot be read. No reset helps."""

    text_key = "error.sim"
    cause = "no_sim"


class SimPinNeeded(BearerError):
    """The SIM asks for a PIN that is not known, or that may not be tried by itself."""

    text_key = "error.sim_pin"
    cause = "sim_pin"


class SimPukNeeded(BearerError):
    """The SIM is locked; only its operator can help."""

    text_key = "error.sim_puk"
    cause = "sim_puk"


class NoService(BearerError):
    """No network in time. ``cause`` "searching" while it still looks."""

    text_key = "error.no_service"
    cause = "no_service"

    def __init__(self, detail: str = "", searching: bool = False) -> None:
        super().__init__(detail)
        if searching:
            self.cause = "searching"


class RegistrationDenied(BearerError):
    """The network refuses this SIM."""

    text_key = "error.sim_denied"
    cause = "denied"


class PasswordRefused(BearerError):
    """The access point refuses the password of its network."""

    text_key = "error.wifi_password"
    cause = "denied"


class NoAddress(BearerError):
    """Connected, but no address came (DHCP)."""

    text_key = "error.no_address"
    cause = "no_address"


class BearerStatus:
    """``state``: UP, DEGRADED or DOWN. ``kind``: "ethernet", "wifi", "mobile".
    ``bars``: 0 to 4. ``operator`` (of Wi-Fi the network's name), ``address``: as the
    bearer tells them, "" if unknown. ``dns``: its name servers, () if unknown.
    ``sent``, ``received``: bytes since the device started, -1 if it does not count.
    ``cause``: of CAUSES, "" when up."""

    def __init__(self, state: str, kind: str, bars: int = 0, cause: str = "") -> None:
        self.state = state
        self.kind = kind
        self.bars = bars
        self.cause = cause
        self.operator = ""
        self.address = ""
        self.dns: "tuple[str, ...]" = ()
        self.roaming = False
        self.sent = -1
        self.received = -1


class Bearer:
    """One link. Its operations may be called one at a time; each ends in its time."""

    kind = "ethernet"
    #: The system's name of its interface now, for connections that are to leave by
    #: it; "" when it has none, or when there is only one.
    interface = ""
    #: Its name servers as of the last ``start`` or ``status``, for connections that
    #: leave by ``interface``; () if unknown.
    dns: "tuple[str, ...]" = ()
    #: The levels of LEVELS that this bearer can do.
    levels: "tuple[str, ...]" = ()
    #: Whether ``configure`` can give it a static address.
    takes_static = False

    async def status(self) -> BearerStatus:
        """What is known now, within STATUS_MS; of a slow device some of it is of before. A
        dead device is a state, no error."""
        raise NotImplementedError

    async def start(self, timeout_ms: int) -> None:
        """Bring it up. Harmless when it is. Raises BearerError, within
        ``timeout_ms`` and a second."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Take it down. Never raises, may be called twice."""
        raise NotImplementedError

    async def configure(self, static: "StaticIp | None") -> None:
        """A static address, or DHCP (None), kept durably; it counts from the next
        ``start`` or ``reset``. Only where ``takes_static``. BearerError."""
        raise NotImplementedError

    async def wipe(self) -> None:
        """Tamper: forget every password and PIN, also where a service behind it keeps
        them. Never raises; within 20 seconds."""

    async def reset(self, level: str, timeout_ms: int) -> None:
        """Reset at ``level`` and bring it up again. BearerError as ``start``;
        ValueError for a level that is not one of ``levels``."""
        raise NotImplementedError
