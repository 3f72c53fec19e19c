"""A shop on the emulator: till emulate --state signed-in --command "python3 THIS FOLDER".

Pairs a PC as a register, starts ``till register run`` with all adapters that need no cable, and
pays by a MIS record, over nexo from another process's TLS client, and over Caisse-AP. Prints
what each said; exits 0 when all went well.
"""

import json
import signal
import socket
import ssl
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any

from host_tools.register import caisse_ap, mis
from host_tools.register.nexo import certificate, number_json, sealed
from tests.support.pair_emulated import LIMIT_S, begun, do, pair, till

SALE_IDS = "POS-1"


def settings(folder: Path) -> str:
    """register.toml as setup makes it, on free ports and with Caisse-AP; the passphrase."""
    till("register", "setup", "--folder", str(folder), "--sale-id", SALE_IDS)
    path = folder / "register.toml"
    text = path.read_text()
    path.write_text(
        text.replace("127.0.0.1:8443", "127.0.0.1:0")
        + '\n[caisse_ap]\nlisten = "127.0.0.1:0"\n\n[mis]\nlisten = "127.0.0.1:0"\n'
    )
    return text.split('passphrase = "')[1].split('"')[0]


def paid(ask: Any) -> Any:
    """What ``ask()`` gives while a customer puts a card in."""
    got: list[Any] = []
    asking = threading.Thread(target=lambda: got.append(ask()))
    asking.start()
    do(do="wait", screen="present_card", seconds=60)
    do(do="insert", card="approve")
    do(do="wait", screen="pin", seconds=60)
    do(do="press", keys=["1", "2", "3", "4", "enter"])
    asking.join(LIMIT_S)
    do(do="remove")
    do(do="wait", screen="idle", seconds=60)
    return got[0]


def over_nexo(folder: Path, place: str, passphrase: str) -> Any:
    header = {
        "ProtocolVersion": "3.0", "MessageClass": "Service", "MessageCategory": "Payment",
        "MessageType": "Request", "SaleID": SALE_IDS, "ServiceID": "1", "POIID": "POI-1",
    }  # fmt: skip
    stamp = {"TransactionID": "1", "TimeStamp": "2026-11-22T01:02:03Z"}
    body = {
        "SaleData": {"SaleTransactionID": stamp},
        "PaymentTransaction": {"AmountsReq": {"Currency": "CNY", "RequestedAmount": 12}},
    }
    inner = {"SaleToPOIRequest": {"MessageHeader": header, "PaymentRequest": body}}
    key = sealed.key_of("till-1", 1, passphrase)
    closed = sealed.seal(key, header, number_json.write(inner))
    request = urllib.request.Request(
        place, number_json.write({"SaleToPOIRequest": closed}).encode(),
        {"Content-Type": "application/json"},
    )  # fmt: skip
    trust = ssl.create_default_context(cafile=str(folder / certificate.ROOT_FILE))
    answer = json.load(urllib.request.urlopen(request, context=trust, timeout=LIMIT_S))
    return sealed.opened([key], answer["SaleToPOIResponse"])[2]["SaleToPOIResponse"]


def over_caisse(port: int) -> dict[str, str]:
    asked = {"CJ": "012345678901", "CA": "01", "CE": "156", "CD": "0", "CB": "345"}
    with socket.create_connection(("127.0.0.1", port), LIMIT_S) as connection:
        connection.sendall(caisse_ap.message(asked))
        return caisse_ap.fields(connection.recv(1024))


def main() -> None:
    folder = Path(sys.argv[1])
    pair("--role", "register")
    do(do="wait", screen="idle", seconds=60)
    passphrase = settings(folder)
    running = begun("register", "run", "--folder", str(folder), "--json")
    assert running.stdout is not None
    places = {}
    for line in running.stdout:
        print(line, end="", flush=True)
        told = json.loads(line)
        places[told["adapter"]] = told.get("place") or told.get("serial", "")
        if told["event"] in ("connected", "absent"):
            break
    assert places["terminal"].startswith("VT"), places

    address = ("127.0.0.1", int(places["mis"].rpartition(":")[2]))
    record = paid(lambda: mis.bankall(mis.sale("POS1", "C1", 678), address))
    response = mis.unpack(mis.RESPONSE, record)
    print(response, flush=True)
    assert (response["code"], response["amount"]) == ("00", 678)

    answer = paid(lambda: over_nexo(folder, places["nexo"], passphrase))
    print(answer, flush=True)
    assert answer["PaymentResponse"]["Response"]["Result"] == "Success"

    fields = paid(lambda: over_caisse(int(places["caisse_ap"].rpartition(":")[2])))
    print(fields, flush=True)
    assert (fields["AE"], fields["CB"]) == ("10", "345")

    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=LIMIT_S)
    print(said, flush=True)
    assert running.returncode == 0 and "Traceback" not in said, running.returncode
    ends = [json.loads(line) for line in said.splitlines()]
    assert [(one["adapter"], one["end"], one["amount"]) for one in ends] == [
        ("mis", "approved", 678), ("nexo", "approved", 1200), ("caisse", "approved", 345),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
