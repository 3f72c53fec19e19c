"""What is said of a link that does not carry, by its kind and cause."""

#: Text keys by kind ("" for any) and cause (``hal.bearer``, ``services/link_probe.py``).
_SAYS = {
    "captive": "error.captive",
    "no_address": "error.no_address",
    "sim_pin": "error.sim_pin",
    "sim_puk": "error.sim_puk",
    "no_sim": "error.sim",
    "sim_fault": "mobile.fault",
    "host": "error.network_host",
    "unreached": "error.network_host",
    "mute": "error.network",
    "wifi denied": "error.wifi_password",
    "wifi no_service": "wifi.missing",
    "wifi searching": "wifi.missing",
    "mobile denied": "error.sim_denied",
    "mobile no_service": "error.no_service",
    "mobile searching": "error.no_service",
    "mobile mute": "error.modem",
}


def problem(kind: str, cause: str, bars: int) -> str:
    """Text key of why a link does not carry; with ".do" what to do about it."""
    if cause == "unreached" and bars <= 1 and kind != "ethernet":
        return "error.weak_signal"
    return _SAYS.get(kind + " " + cause, _SAYS.get(cause, "error.network_link"))
