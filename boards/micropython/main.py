"""Starts the terminal when the chip does: frozen as ``main.py`` into the image.

The board's data, the fonts and the terminal's storage lie on the chip's littlefs. A
terminal that ends is started again by the port; Ctrl-C on the console stops it.
"""

from firmware.text import data_file

data_file.FOLDER = "fonts"

from firmware import main  # noqa: E402 - it reads the fonts

try:
    main.main(["--board", "board.py", "--data", "till"])
except SystemExit as ended:
    if ended.args != (130,):
        raise
