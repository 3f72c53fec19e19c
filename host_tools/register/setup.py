"""``till register setup``: certificate, a register's key, and register.toml around them."""

import json
from pathlib import Path
from typing import Any

from host_tools import whole_file
from host_tools.errors import UserError
from host_tools.register import settings
from host_tools.register.nexo import certificate, sealed
from host_tools.texts import said

_TEXT = """\
# What registers may do on this PC (docs/register.md). This file holds secrets: keep it to
# yourself. Plain text protocols listen on 127.0.0.1 unless plain_network = true.

# terminal = ""                  # serial number or port; the only one, if not given

[nexo]
listen = "127.0.0.1:8443"        # "0.0.0.0:8443" for registers on the network; then name them:
# clients = ["192.168.1.20"]

[[nexo.register]]
name = {name}
sale_ids = {sale_ids}            # SaleIDs that it may use; none: any
key = {name}                     # KeyIdentifier
version = 1                      # KeyVersion
passphrase = {passphrase}

# [concert]
# port = "/dev/ttyUSB0"          # or "COM3"; baud = 9600, frame = "8N1" or "7E1"

# [caisse_ap]
# listen = "192.168.1.5:8888"    # plain text on the network: only with the two lines below
# clients = ["192.168.1.20"]
# plain_network = true

# [mis]
# listen = "127.0.0.1:9001"
"""


def make(
    folder: Path, register: str, sale_ids: list[str], hosts: list[str], force: bool
) -> dict[str, Any]:
    """Make the folder's files; where they are, and what the register must be told. UserError."""
    path = folder / settings.FILE
    if path.exists() and not force:
        raise UserError(
            said("{path} is there already; --force makes new keys, and old ones end", path=path)
        )
    if not register or not register.isascii() or not register.isprintable() or len(register) > 36:
        raise UserError(said("a register's name is 1 to 36 letters, digits and signs"))
    text = _TEXT.format(
        name=json.dumps(register),
        sale_ids=json.dumps(sale_ids),
        passphrase=json.dumps(sealed.new_passphrase()),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = certificate.make(folder, register, ["localhost", "127.0.0.1", *hosts])
        whole_file.write(path, text.encode(), private=True)
    except OSError as error:
        raise UserError(
            said("{path} cannot be made: {error}", path=folder, error=error.strerror)
        ) from None
    settings.load(path)
    return {
        "settings": str(path),
        "root": str(folder / certificate.ROOT_FILE),
        "common_name": name,
        "key": register,
        "version": 1,
    }
