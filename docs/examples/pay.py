"""One payment on the emulator: till emulate --state signed-in --command "python3 THIS".

Presses keys and inserts a card through the page's interface (docs/emulator.md); exits 0 if
the bank's ledger says that the payment is approved. A file name behind it keeps the kernel's
trace there.
"""

import json
import os
import sys
import urllib.request
from pathlib import Path
from typing import Any


def do(**wish: Any) -> Any:
    """Ask for one action; the state after it."""
    request = urllib.request.Request(
        os.environ["OPENTILL_URL"] + "do",
        json.dumps(wish).encode(),
        {"Content-Type": "application/json"},
    )
    return json.load(urllib.request.urlopen(request))


do(do="press", keys=["1", "00", "enter"])
do(do="wait", screen="present_card", seconds=30)
do(do="insert", card="approve")
do(do="wait", screen="pin", seconds=30)
do(do="press", keys=["1", "2", "3", "4", "enter"])
state = do(do="wait", screen="question", seconds=30)
payment = state["ledger"][0]
print("The bank says:", payment["state"])
for name in sys.argv[1:]:
    with urllib.request.urlopen(os.environ["OPENTILL_URL"] + "trace") as answer:
        Path(name).write_bytes(answer.read())
raise SystemExit(payment["state"] != "approved")
