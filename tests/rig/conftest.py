"""Tests under guest/ run inside the rig's guest only (``make rig``)."""

import os

collect_ignore_glob = [] if os.environ.get("OPENTILL_RIG_GUEST") else ["guest/*"]
