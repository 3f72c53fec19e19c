"""A recorded session (docs/examples/recording.json) replayed by the kernel, wherever it runs."""

import json

from firmware.payment.emv.steps import HostAnswer
from tests.portable.emv_card import aid_config, capk, config, drive, transaction

#: tests/support/wasm_runner.mjs brings it along.
RECORDING = __file__.rsplit("/", 3)[0] + "/docs/examples/recording.json"


class RecordedCard:
    """Gives each recorded answer to the command that was recorded, and to no other."""

    def __init__(self, steps):
        self.steps = steps

    def exchange(self, command):
        step = self.steps.pop(0)
        assert command.hex().upper() == step["c"], command.hex()
        answer = bytes.fromhex(step["r"])
        return answer[:-2], answer[-2] << 8 | answer[-1]


def _recorded():
    with open(RECORDING) as file:
        return json.load(file)


def _replayed(table):
    key, aid, host = table["capks"][0], table["aids"][0], table["host"]
    ours = capk(modulus=bytes.fromhex(key["modulus"]), exponent=bytes.fromhex(key["exponent"]))
    assert aid["aid"] == aid_config().aid.hex().upper()
    return drive(
        RecordedCard(table["steps"]),
        config(capks=[ours]),
        transaction(
            amount=int(table["transaction"]["9F02"]),
            date=bytes.fromhex(table["date"]),
            time=bytes.fromhex(table["transaction"]["9F21"]),
        ),
        HostAnswer(bytes.fromhex(host["8A"]), bytes.fromhex(host["91"])),
    )


def test_a_recorded_session_is_replayed_command_by_command():
    table = _recorded()
    run = _replayed(table)
    assert table["steps"] == []
    assert (run.outcome.kind, run.outcome.reason) == ("approved", "online_approved")
    assert run.outcome.tvr.hex() == "0000048000" and run.outcome.tsi.hex() == "f800"
    assert run.outcome.cryptogram == b"\xac" * 8


def test_a_changed_certificate_in_it_is_seen():
    table = _recorded()
    record = table["steps"][6]["r"]
    table["steps"][6]["r"] = record[:40] + ("0" if record[40] != "0" else "1") + record[41:]
    # Authentication fails before anything else depends on it; the first command that tells
    # the card so is no longer the recorded one.
    try:
        _replayed(table)
    except AssertionError as error:
        assert str(error).startswith("80ae"), str(error)
        return
    raise AssertionError("replayed")
