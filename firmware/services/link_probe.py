"""Whether the bank can be reached through one link: asked end to end, answered with a cause."""

from firmware.hal.network import NetworkError, TlsFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.hal.network import NetworkLink, TlsConfig
    from firmware.services.link_supervisor import Way

#: The host answered; nobody did; somebody else did; or the question could not be put.
REACHED, UNREACHED, CAPTIVE, UNASKED = "reached", "unreached", "captive", "unasked"
#: Not a probe's answer but what two make: the beacon was reached, the acquirer not.
HOST = "host"

#: Causes of TlsFailed by what they say of the way to the host. A host that refuses
#: us, or whose certificate's dates do not fit our clock, was reached.
_VERDICTS = {
    "client_refused": REACHED,
    "expired": REACHED,
    "not_yet_valid": REACHED,
    "timeout": UNREACHED,
    "cut": UNREACHED,
    "client_key": UNASKED,
    # A portal answers in the host's place: with its own certificate, or with no TLS.
    "unknown_ca": CAPTIVE,
    "wrong_host": CAPTIVE,
    "certificate": CAPTIVE,
    "protocol": CAPTIVE,
}


def verdict_of(error: NetworkError) -> str:
    """What a failed connection says of the link that it was tried on."""
    if isinstance(error, TlsFailed):
        return _VERDICTS.get(error.cause, UNREACHED)
    return UNREACHED


#: Of so many questions in a row on a metered link one is the whole handshake: each
#: five minutes while it carries.
WHOLE_EACH = 20


class TlsProbe:
    """The whole way: a TLS connection to the acquirer, closed at once. What it costs is
    in docs/modem.md; ``WayProbe`` asks less of a metered link."""

    def __init__(self, host: str, port: int, tls: "TlsConfig") -> None:
        self._host = host
        self._port = port
        self._tls = tls

    def aim(self, host: str, port: int) -> None:
        """Ask for another host from now on."""
        self._host = host
        self._port = port

    async def ask(self, link: "NetworkLink", timeout_ms: int) -> str:
        """REACHED, UNREACHED, CAPTIVE or UNASKED, within ``timeout_ms``."""
        try:
            stream = await link.connect(self._host, self._port, self._tls, timeout_ms)
        except NetworkError as error:
            return verdict_of(error)
        await stream.close()
        return REACHED

    async def touch(self, link: "NetworkLink", timeout_ms: int) -> str:
        """REACHED by TCP alone, or UNREACHED, within ``timeout_ms``."""
        try:
            await link.touch(self._host, self._port, timeout_ms)
        except NetworkError as error:
            return verdict_of(error)
        return REACHED


class WayProbe:
    """What one link is asked: ``whole``, or of a metered one mostly its TCP alone. That
    tells a dead link, but not a portal, which answers for everybody: so all is asked
    first, after any failure on the link, also a payment's, and now and then."""

    def __init__(self, way: "Way", whole: TlsProbe) -> None:
        self._way = way
        self._whole = whole
        self._touched = 0

    async def ask(self, link: "NetworkLink", timeout_ms: int) -> str:
        """As ``TlsProbe.ask``."""
        way = self._way
        if way.metered and not way.doubted and self._touched < WHOLE_EACH - 1:
            self._touched += 1
            verdict = await self._whole.touch(link, timeout_ms)
        else:
            self._touched = 0
            way.doubted = False
            verdict = await self._whole.ask(link, timeout_ms)
        if verdict != REACHED:
            way.doubted = True
        return verdict


class Beacon:
    """Somebody else who is always there, asked through a link when the acquirer is
    silent. Whoever answers in TLS shows that the link carries; who he is does not
    matter, for he is told nothing."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._probe: "TlsProbe | None" = None

    def begin(self, tls: "TlsConfig") -> None:
        """``tls``: of the acquirer, for a handshake cannot be begun without."""
        config = tls.__class__(tls.trust, self._host, [], b"", "")
        self._probe = TlsProbe(self._host, self._port, config)

    async def ask(self, link: "NetworkLink", timeout_ms: int) -> str:
        """REACHED when anybody answered, UNREACHED, or UNASKED before ``begin``."""
        if self._probe is None:
            return UNASKED
        verdict = await self._probe.ask(link, timeout_ms)
        return REACHED if verdict == CAPTIVE else verdict
