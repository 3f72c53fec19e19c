"""What is frozen into this board's image, for MicroPython's build (README.md, step 2)."""

include("$(PORT_DIR)/boards/manifest.py")
include("../micropython/image.py")
# The PC link: firmware/buses/usb_mpy.py.
require("usb-device-cdc")
