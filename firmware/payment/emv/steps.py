"""What the kernel asks for, and the answers it takes.

A step is a request; the flow (or a test, or a replay) answers it through
``Kernel.resume``. The class texts name the answer. ``Outcome`` is final.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.hal.pin_entry import PinHandle


class Step:
    """Base of every step."""


class SendApdu(Step):
    """Send ``command``; answer ``(data, sw, elapsed_us)`` (hal.card_reader)."""

    def __init__(self, command: bytes) -> None:
        self.command = command


class Candidate:
    """An application both sides know (EMV 4.4 Book 1, 12.3.1).

    ``aid`` is the card's ADF name, ``priority`` 1 (highest) to 15, 0 for none,
    ``confirm`` True when the cardholder must agree, ``name`` what to show.
    """

    def __init__(self, aid: bytes, name: str, priority: int, confirm: bool) -> None:
        self.aid = aid
        self.name = name
        self.priority = priority
        self.confirm = confirm


class ChooseApplication(Step):
    """Let the cardholder choose; answer the index, or None to give up.

    ``again``: the application chosen before refused (Book 1, 12.4).
    """

    def __init__(self, candidates: "list[Candidate]", again: bool) -> None:
        self.candidates = candidates
        self.again = again


class ConfirmApplication(Step):
    """Ask the cardholder to agree to the only application; answer a bool."""

    def __init__(self, candidate: Candidate) -> None:
        self.candidate = candidate


class EnterPin(Step):
    """Collect a PIN; answer ``(word, handle)``.

    Words: "entered" with a handle, and with None: "bypassed" (only if
    ``bypass_allowed``), "failed" (the PIN pad does not work), "cancelled".
    ``online``: for the issuer, else for the card. ``tries_left`` is None when
    the card does not say. ``retry``: the PIN before was wrong.
    """

    def __init__(
        self,
        online: bool,
        tries_left: "int | None",
        last_try: bool,
        retry: bool,
        bypass_allowed: bool,
    ) -> None:
        self.online = online
        self.tries_left = tries_left
        self.last_try = last_try
        self.retry = retry
        self.bypass_allowed = bypass_allowed


class VerifyPin(Step):
    """Have the vault send VERIFY (rules of money, 12); answer the status word.

    ``enciphered``: None for plaintext, else the card's (modulus, exponent).
    The answer is 0 when GET CHALLENGE failed.
    """

    def __init__(self, handle: "PinHandle | None", enciphered: "tuple[bytes, int] | None") -> None:
        self.handle = handle
        self.enciphered = enciphered


class HostAnswer:
    """The issuer's answer. ``arc``: 8A, ``issuer_auth``: 91 (each None if absent).

    ``scripts``: (0x71 or 0x72, template content) in order. ``approved``: the
    dialect's verdict on field 39; None leaves it to the kernel, which takes
    00, 10 and 11 as approval.
    """

    def __init__(
        self,
        arc: "bytes | None",
        issuer_auth: "bytes | None" = None,
        scripts: "list[tuple[int, bytes]] | None" = None,
        approved: "bool | None" = None,
    ) -> None:
        self.arc = arc
        self.issuer_auth = issuer_auth
        self.scripts = scripts or []
        self.approved = approved


class Unable:
    """No usable answer. ``decline``: bytes have left, so ask AAC (rules of money, 9)."""

    def __init__(self, decline: bool) -> None:
        self.decline = decline


class GoOnline(Step):
    """Ask the issuer; answer a HostAnswer or Unable.

    ``tags``: data objects for field 55 and the rest of the message (57 and 5A
    among them: RAM only). ``pin``: the online PIN's handle, or None.
    """

    def __init__(self, tags: "dict[int, bytes]", pin: "PinHandle | None") -> None:
        self.tags = tags
        self.pin = pin


class Outcome(Step):
    """The end of the transaction at the card.

    ``kind``: "approved", "declined", "terminated" (card or data fault),
    "fallback" (the chip cannot be used; a stripe may), "blocked_card",
    "not_accepted" (no application, or service not allowed), "cancelled",
    "try_again" (the card left before anything was decided).
    ``reason`` is one lower-case word with underscores. ``name``: the application's,
    for people. ``online``: the issuer
    answered. ``host_approved_card_declined``: the issuer approved and the card
    did not complete with a valid TC, so the approval must be reversed.
    ``script_results``: 5 bytes a script (Book 4, Annex A5).
    """

    def __init__(self, kind: str, reason: str) -> None:
        self.kind = kind
        self.reason = reason
        self.tvr = bytes(5)
        self.tsi = bytes(2)
        self.cvm_results = b"\x3f\x00\x00"
        self.aid = b""
        self.name = ""
        self.cid: "int | None" = None
        self.cryptogram = b""
        self.tags: "dict[int, bytes]" = {}
        self.signature = False
        self.script_results = b""
        self.online = False
        self.host_approved_card_declined = False

    def __repr__(self) -> str:
        return "Outcome(" + self.kind + ", " + self.reason + ")"
