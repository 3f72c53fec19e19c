"""Contract: which Wi-Fi networks there are and which are known; the link itself is a bearer."""

#: What protects a network: nothing; WPA2 with a shared key; WPA2 or WPA3 as the terminal
#: likes; WPA3 (SAE) alone; anything else (WEP, WPA, 802.1X), which is not joined.
OPEN, WPA2, WPA2_WPA3, WPA3, OTHER = "open", "wpa2", "wpa2+wpa3", "wpa3", "other"


class WifiNetwork:
    """One network in the air. ``ssid``: 1 to 32 bytes; ``security``: of the above; ``bars``:
    0 to 4, of its strongest access point; ``known``: joined before; ``active``: in use."""

    def __init__(self, ssid: bytes, security: str, bars: int) -> None:
        self.ssid = ssid
        self.security = security
        self.bars = bars
        self.known = False
        self.active = False

    @property
    def name(self) -> str:
        """The name for people."""
        return ssid_name(self.ssid)


def ssid_name(ssid: bytes) -> str:
    """A network's name for people: what is no UTF-8 is shown in hexadecimal."""
    try:
        name = str(ssid, "utf-8")
    except (UnicodeError, ValueError):
        return "0x" + "".join(f"{byte:02x}" for byte in ssid)
    return "".join(sign if sign >= " " and sign != "\x7f" else "?" for sign in name)


class StaticIp:
    """An IPv4 address that is not asked for by DHCP. ``address``: dotted; ``prefix``: bits
    of the network, 1 to 30; ``gateway``: dotted; ``dns``: dotted ones. ValueError."""

    def __init__(self, address: str, prefix: int, gateway: str, dns: "list[str]") -> None:
        for text in [address, gateway] + dns:
            if not is_ipv4(text):
                raise ValueError("not an IPv4 address: " + text)
        if not 1 <= prefix <= 30:
            raise ValueError("a network's prefix is 1 to 30 bits, not " + str(prefix))
        self.address = address
        self.prefix = prefix
        self.gateway = gateway
        self.dns = dns


def is_ipv4(text: str) -> bool:
    """Whether it is a dotted IPv4 address."""
    parts = text.split(".")
    return len(parts) == 4 and all(
        0 < len(part) <= 3 and not part.strip("0123456789") and int(part) <= 255 for part in parts
    )


def check_join(ssid: bytes, security: str, password: str) -> None:
    """ValueError for what can be no network, or no password of it: a shared key has 8
    to 63 printable ASCII characters or 64 hexadecimal digits, WPA3's 1 to 63."""
    if not 1 <= len(ssid) <= 32:
        raise ValueError("a network's name has 1 to 32 bytes")
    if security not in (OPEN, WPA2, WPA2_WPA3, WPA3):
        raise ValueError("no network with this protection is joined: " + security)
    if security == OPEN:
        if password:
            raise ValueError("an open network has no password")
        return
    least = 1 if security == WPA3 else 8
    printable = all(" " <= sign <= "~" for sign in password)
    key = len(password) == 64 and all(sign in "0123456789abcdefABCDEF" for sign in password)
    if not printable or not (least <= len(password) <= 63 or (key and security != WPA3)):
        raise ValueError("a password has " + str(least) + " to 63 printable characters")


class KnownNetwork:
    """A network and what joins it, as ``check_join`` has it."""

    def __init__(self, ssid: bytes, security: str, password: str) -> None:
        self.ssid = ssid
        self.security = security
        self.password = password


class WifiNetworks:
    """The networks of one Wi-Fi device. Its operations may be called one at a time."""

    #: Whether a service behind it keeps the known networks with their passwords; else
    #: it knows one, which it is told after each start of the terminal (``know``).
    keeps = True
    #: Whether ``join`` takes a static address, and a network that hides its name.
    joins_static = True
    joins_hidden = True

    def know(self, network: "KnownNetwork | None") -> None:
        """The network to join from the next ``start`` on, None for none. Only where not
        ``keeps``. ValueError for what it cannot join."""
        raise NotImplementedError

    async def scan(self, timeout_ms: int) -> "list[WifiNetwork]":
        """What is in the air now, the strongest first; hidden ones are not among it.
        BearerError."""
        raise NotImplementedError

    async def known(self) -> "list[bytes]":
        """The names of networks that were joined. BearerError."""
        raise NotImplementedError

    async def join(
        self,
        ssid: bytes,
        security: str,
        password: str,
        timeout_ms: int,
        hidden: bool = False,
        static: "StaticIp | None" = None,
    ) -> None:
        """Connect, and know the network from then on. ValueError as ``check_join``;
        BearerError, and it is known only if it was: PasswordRefused, NoService when
        it is not in the air."""
        raise NotImplementedError

    async def forget(self, ssid: bytes) -> bool:
        """Know it no more; whether it was known. BearerError."""
        raise NotImplementedError
