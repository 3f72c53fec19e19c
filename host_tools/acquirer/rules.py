"""What makes the bank misbehave, and when (table in docs/acquirer.md).

A rule comes from the control API (or a test), from the card's ``host_rule``
in the deck, or from the amount; the first source that has one wins. A
``Plan`` says what is done to one request and its answer.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

SCRIPTS = (
    "pin_change",
    "pin_unblock",
    "application_block",
    "application_unblock",
    "card_block",
    "put_data",
)


@dataclass(frozen=True)
class Plan:
    """Departures from the honest answer; the default has none.

    ``refuse``: code given before anything is booked (77, 99, A0: the session
    is at fault); ``decline``: code booked as a decline. ``lose``: the request
    never arrived. ``drop``: it was booked, the answer is lost. ``close``: the
    connection ends in its place. ``delay_ms`` before the answer, ``gap_ms``
    between its bytes (None: in one piece). ``mac``/``arpc``: "right", "wrong"
    or "none". ``partial``: approve this percentage with code 10.
    """

    refuse: str = ""
    decline: str = ""
    lose: bool = False
    drop: bool = False
    close: bool = False
    garble: bool = False
    duplicate: bool = False
    wrong_stan: bool = False
    wrong_amount: bool = False
    delay_ms: int = 0
    gap_ms: int | None = None
    mac: str = "right"
    arpc: str = "right"
    script: str = ""
    partial: int = 0


HONEST = Plan()

#: kind: (plan, name of its argument or ""). The argument replaces the field.
KINDS: dict[str, tuple[Plan, str]] = {
    "honest": (HONEST, ""),
    "decline": (Plan(), "code"),
    "refuse": (Plan(), "code"),
    "late": (Plan(), "ms"),
    "lose": (Plan(lose=True), ""),
    "drop": (Plan(drop=True), ""),
    "close": (Plan(close=True), ""),
    "garble": (Plan(garble=True), ""),
    "duplicate": (Plan(duplicate=True), ""),
    "wrong_stan": (Plan(wrong_stan=True), ""),
    "wrong_amount": (Plan(wrong_amount=True), ""),
    "wrong_mac": (Plan(mac="wrong"), ""),
    "missing_mac": (Plan(mac="none"), ""),
    "wrong_arpc": (Plan(arpc="wrong"), ""),
    "no_arpc": (Plan(arpc="none"), ""),
    "script": (Plan(), "script"),
    "split": (Plan(), "ms"),
    "partial": (Plan(), "percent"),
}

_FIELD_OF = {"late": "delay_ms", "split": "gap_ms", "partial": "partial", "script": "script"}

_MAX_MS = 600_000
_MAX_TIMES = 1_000_000
#: Field 4 has twelve digits.
_MAX_AMOUNT = 999_999_999_999
#: Requests that a rule may wait for.
MTIS = ("0200", "0400", "0620", "0800", "0820")
_FORMS = {"terminal_id": "up to 8 characters", "stan": "6 digits", "pan": "8 to 19 digits"}


#: Answer codes that approve, whole or in part or with a defect: no rule may book a
#: decline under one of them, for the terminal would charge the card.
APPROVALS = ("00", "08", "10", "11", "16", "A2", "A4", "A5", "A6")


class RuleError(ValueError):
    """A rule that does not exist or has a wrong argument."""


def plan_for(rule: Mapping[str, Any]) -> Plan:
    """The plan of ``{"kind": ..., argument}`` as in deck.json. RuleError."""
    kind = rule.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise RuleError(f"rule {kind!r}; known: {', '.join(sorted(KINDS))}")
    plan, argument = KINDS[kind]
    if not argument:
        return plan
    value = rule.get(argument)
    if argument == "code":
        if not isinstance(value, str) or not re.fullmatch("[0-9A-Z]{2}", value):
            raise RuleError(f"rule {kind!r} needs 'code', two of 0 to 9 and A to Z")
        if value in APPROVALS:
            raise RuleError(f"rule {kind!r}: code {value} approves; take another")
        changed: dict[str, Any] = {kind: value}
        return replace(plan, **changed)
    if argument == "script":
        if value not in SCRIPTS:
            raise RuleError(f"rule 'script' needs 'script': {', '.join(SCRIPTS)}")
    else:
        most = 99 if argument == "percent" else _MAX_MS
        if type(value) is not int or not 0 <= value <= most:
            raise RuleError(f"rule {kind!r} needs {argument!r}, 0 to {most}")
    changed = {_FIELD_OF[kind]: value}
    return replace(plan, **changed)


#: Declines by the last two digits of the amount, minor units.
DECLINE_ENDINGS = {
    5: "05", 51: "51", 54: "54",
    57: "57", 61: "61", 62: "62", 65: "65", 75: "75", 91: "91", 96: "96", 98: "98",
}  # fmt: skip

#: Declines by the last three digits: the endings that register tests use
#: (not enough balance, blocked, expired, invalid amount, invalid card, wrong PIN).
REGISTER_ENDINGS = {124: "51", 125: "62", 126: "54", 127: "13", 128: "14", 134: "55"}

#: Behaviour by the last four digits: amounts of xx77.nn.
BEHAVIOUR_ENDINGS: dict[int, dict[str, Any]] = {
    7702: {"kind": "late", "ms": 5_000},
    7706: {"kind": "late", "ms": 120_000},
    7707: {"kind": "lose"},
    7708: {"kind": "drop"},
    7709: {"kind": "close"},
    7710: {"kind": "partial", "percent": 50},
    7711: {"kind": "garble"},
    7712: {"kind": "wrong_mac"},
    7713: {"kind": "missing_mac"},
    7714: {"kind": "wrong_arpc"},
    7715: {"kind": "no_arpc"},
    7716: {"kind": "wrong_stan"},
    7717: {"kind": "wrong_amount"},
    7718: {"kind": "duplicate"},
    7719: {"kind": "split", "ms": 5},
    7720: {"kind": "script", "script": "pin_unblock"},
    7721: {"kind": "script", "script": "application_block"},
    7722: {"kind": "script", "script": "application_unblock"},
    7723: {"kind": "script", "script": "card_block"},
    7724: {"kind": "script", "script": "put_data"},
    7725: {"kind": "script", "script": "pin_change"},
    7777: {"kind": "refuse", "code": "77"},
    7779: {"kind": "refuse", "code": "A0"},
    7799: {"kind": "refuse", "code": "99"},
}


def plan_by_amount(amount: int) -> Plan | None:
    """The plan that the amount (minor units) asks for, or None."""
    behaviour = BEHAVIOUR_ENDINGS.get(amount % 10_000)
    if behaviour is not None:
        return plan_for(behaviour)
    code = REGISTER_ENDINGS.get(amount % 1000) or DECLINE_ENDINGS.get(amount % 100)
    return plan_for({"kind": "decline", "code": code}) if code else None


@dataclass
class ControlRule:
    """A rule that waits for requests: of this MTI and, where said, this
    terminal, STAN, amount or card; ``times`` None is for ever."""

    plan: Plan
    mti: str = "0200"
    times: int | None = 1
    terminal_id: str = ""
    stan: str = ""
    amount: int | None = None
    pan: str = ""

    def matches(self, mti: str, terminal_id: str, stan: str, amount: int | None, pan: str) -> bool:
        """Whether this request is meant."""
        return (
            self.mti == mti
            and self.terminal_id in ("", terminal_id)
            and self.stan in ("", stan)
            and self.amount in (None, amount)
            and self.pan in ("", pan)
        )


class Rules:
    """The rules in force. ``by_amount`` and ``by_card`` switch sources off."""

    def __init__(self, by_amount: bool = True, by_card: bool = True) -> None:
        self.by_amount = by_amount
        self.by_card = by_card
        self._waiting: list[ControlRule] = []

    def add(
        self,
        kind: str,
        /,
        *,
        mti: str = "0200",
        times: int | None = 1,
        terminal_id: str = "",
        stan: str = "",
        amount: int | None = None,
        pan: str = "",
        **argument: Any,
    ) -> None:
        """Make the next ``times`` matching requests meet this rule. RuleError."""
        wanted = KINDS.get(kind, (HONEST, ""))[1]
        unknown = set(argument) - {wanted}
        if unknown:
            raise RuleError(f"rule {kind!r} has no argument {sorted(unknown)[0]!r}")
        if times is not None and (type(times) is not int or not 1 <= times <= _MAX_TIMES):
            raise RuleError(f"'times' is 1 to {_MAX_TIMES}, or null for ever")
        if amount is not None and (type(amount) is not int or not 0 <= amount <= _MAX_AMOUNT):
            raise RuleError(f"'amount' is an integer of minor units, 0 to {_MAX_AMOUNT}")
        if mti not in MTIS:
            raise RuleError(f"'mti' is one of {', '.join(MTIS)}")
        for name, value, form in (
            ("terminal_id", terminal_id, "[ -~]{0,8}"),
            ("stan", stan, "([0-9]{6})?"),
            ("pan", pan, "([0-9]{8,19})?"),
        ):
            if not isinstance(value, str) or not re.fullmatch(form, value):
                raise RuleError(f"{name!r} is text, {_FORMS[name]}, or left out")
        plan = plan_for({"kind": kind, **argument})
        if len(self._waiting) >= 1000:
            raise RuleError("too many rules wait; reset first")
        self._waiting.append(ControlRule(plan, mti, times, terminal_id, stan, amount, pan))

    def clear(self) -> None:
        """Forget the rules that wait."""
        self._waiting.clear()

    def waiting(self) -> list[dict[str, Any]]:
        """The rules that wait, for display."""
        return [
            {
                "mti": rule.mti,
                "times": rule.times,
                "amount": rule.amount,
                "terminal_id": rule.terminal_id,
                "stan": rule.stan,
                "plan": {
                    name: value
                    for name, value in vars(rule.plan).items()
                    if value != getattr(HONEST, name)
                },
            }
            for rule in self._waiting
        ]

    def choose(
        self,
        mti: str,
        terminal_id: str,
        stan: str,
        amount: int | None,
        pan: str,
        host_rule: Mapping[str, Any] | None = None,
    ) -> Plan:
        """The plan for one request; uses up one turn of a waiting rule."""
        for rule in self._waiting:
            if rule.matches(mti, terminal_id, stan, amount, pan):
                if rule.times is not None:
                    rule.times -= 1
                    if rule.times == 0:
                        self._waiting.remove(rule)
                return rule.plan
        if mti != "0200":
            return HONEST
        if self.by_card and host_rule is not None:
            return plan_for(host_rule)
        if self.by_amount and amount is not None:
            return plan_by_amount(amount) or HONEST
        return HONEST
