"""Part of each MicroPython board's manifest.py: what of ``firmware`` goes into an image.

Run by MicroPython's manifest tool (its documentation, "MicroPython manifest files"), which
gives ``package`` and ``module`` and makes this folder the working folder. Left out is
what only Linux has, and everything that reaches software chips: no image can fall back
to the emulator's random numbers.
"""

import os

LINUX_ONLY = ("_linux.py", "_posix.py", "_rpi.py", "luma_bus.py", "oled.py", "tls_link.py")
SOFTWARE = (
    "wire_bus.py", "wire_call.py", "wire_card.py", "wire_input.py", "wire_net.py",
    "wire_stream.py", "wire_wlan.py", "trng_wire.py", "link_report.py",
)  # fmt: skip
ROOT = "../.."

files = []
for folder, _, names in os.walk(ROOT + "/firmware"):
    for name in names:
        if name.endswith(".py") and not name.endswith(LINUX_ONLY + SOFTWARE):
            path = os.path.join(folder, name)
            files.append(os.path.relpath(path, ROOT + "/firmware").replace(os.sep, "/"))
# opt=1 leaves assertions out.
package("firmware", files=sorted(files), base_path=ROOT, opt=1)
module("main.py", opt=1)
