"""Where ``till`` keeps what is the user's own.

OPENTILL_HOME, when it is set, holds all of it (a stick, a test); nothing then goes to the
system's keyring either. Otherwise the folders are the system's usual ones for one's settings
and data.
"""

import os
from pathlib import Path

from host_tools.errors import UserError
from host_tools.texts import said

_NAME = "opentill"


def portable() -> bool:
    """Whether OPENTILL_HOME says where everything is."""
    return bool(os.environ.get("OPENTILL_HOME"))


def config() -> Path:
    """The folder of keys and known terminals; made, for its owner only. UserError."""
    return _made("config")


def data() -> Path:
    """The folder of the database; made, for its owner only. UserError."""
    return _made("data")


def _made(kind: str) -> Path:
    if portable():
        folder = Path(os.environ["OPENTILL_HOME"]).expanduser().absolute()
    else:
        import platformdirs

        place = platformdirs.PlatformDirs(_NAME, appauthor=False)
        folder = place.user_config_path if kind == "config" else place.user_data_path
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            said("the folder {folder} cannot be made: {cause}", folder=folder, cause=error.strerror)
        ) from None
    return folder
