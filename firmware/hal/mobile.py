"""Contract: what people set, type and read of a modem; the link itself is a bearer."""

from firmware.hal.bearer import BearerError

#: State of a SIM: it is open; it is missing; it asks for its PIN, or for its PUK after
#: too many wrong ones; it cannot be read; the modem does not say.
READY, NO_SIM, ASKS_PIN, ASKS_PUK, FAULT, MUTE = (
    "ready", "no_sim", "sim_pin", "sim_puk", "sim_fault", "mute",
)  # fmt: skip


class SimStatus:
    """``state``: of the above. ``tries``: PIN entries left, None when the modem does not
    say, or is not asked because the SIM is open."""

    def __init__(self, state: str, tries: "int | None" = None) -> None:
        self.state = state
        self.tries = tries


class MobileSettings:
    """``apn``: access point name, "" for what the SIM's operator gives by itself;
    ``user``, ``password``: the access point's, mostly ""; ``roaming``: whether a
    foreign network is used. ValueError for what can be none of these."""

    def __init__(self, apn: str, user: str = "", password: str = "", roaming: bool = True) -> None:
        if not is_apn(apn):
            raise ValueError("an APN has up to 100 letters, digits, dots and hyphens")
        for text in (user, password):
            if len(text) > 64 or not all(" " <= sign <= "~" for sign in text):
                raise ValueError("user and password of an APN have up to 64 ASCII characters")
        self.apn = apn
        self.user = user
        self.password = password
        self.roaming = roaming


def is_apn(text: str) -> bool:
    """Whether it can be an access point name (TS 23.003, 9.1), or is empty."""
    signs = "abcdefghijklmnopqrstuvwxyz0123456789.-"
    return len(text) <= 100 and all(sign in signs for sign in text.lower())


def is_pin(text: str) -> bool:
    """Whether it can be a SIM's PIN: 4 to 8 digits."""
    return 4 <= len(text) <= 8 and not text.strip("0123456789")


class ModemInCall(BearerError):
    """Its only port carries the data connection."""

    text_key = "mobile.in_call"


class ShortMessage:
    """``sender``: digits with "+" in front of an international number, or a name.
    ``text``: "" for data that is no text. ``part``, ``parts``: 1 and 1, or the
    place of this unit in a longer message. ``stamp``: when its service centre had it,
    by that one's own clock, as "2026-11-21 14:05:09"; "" if unknown."""

    def __init__(self, sender: str, text: str, part: int, parts: int, stamp: str = "") -> None:
        self.sender = sender
        self.text = text
        self.part = part
        self.parts = parts
        self.stamp = stamp


class Mobile:
    """The SIM of one modem, and what its data connection is made with."""

    @property
    def settings(self) -> MobileSettings:
        """What the next connection is made with."""
        raise NotImplementedError

    async def sim(self) -> SimStatus:
        """The SIM's state now. A dead modem is a state, no error."""
        raise NotImplementedError

    async def enter_pin(self, pin: str) -> None:
        """A PIN that somebody typed just now. Tried once, and not at all when one try
        is left. SimPinNeeded, SimPukNeeded, BearerError; ValueError for what is none."""
        raise NotImplementedError

    def set_up(self, settings: MobileSettings, pin: str) -> None:
        """From the next ``start`` on. ``pin`` is tried by itself only while the SIM has
        all its tries; "" for none."""
        raise NotImplementedError

    async def messages(self) -> "list[ShortMessage]":
        """Take some of the received short messages, [] when there are no more: the modem
        has them no longer. Within 30 seconds and one more. ModemInCall, BearerError, but
        not once one was taken: what is left comes the next time."""
        raise NotImplementedError
