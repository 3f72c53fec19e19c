"""The kernel's configuration for the deck's cards, as the tests of the kernel take it."""

from firmware.payment.emv.config import AidConfig, Capk, TerminalConfig
from host_tools.emulator.deck import Deck


def config(deck: Deck, **changes: object) -> TerminalConfig:
    """Online only, PIN bypass allowed, every AID and CAPK of the deck; ``changes`` on top."""
    aids = [
        AidConfig(
            aid["aid"],
            bool(aid["partial"]),
            aid["tac_default"],
            aid["tac_online"],
            aid["tac_denial"],
            default_ddol=aid["ddol"],
            version=aid["version"],
        )
        for aid in deck.aids()
    ]
    capks = [
        Capk(k["rid"], k["index"], k["modulus"], k["exponent"], k["sha1"], k["expiry"])
        for k in deck.capks()
    ]
    values: dict[str, object] = {"online_only": True, "pin_bypass": True}
    values.update(changes)
    return TerminalConfig(aids, capks, **values)  # type: ignore[arg-type]  # test values
