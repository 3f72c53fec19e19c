"""Makes the buses of a board from its compiled data: the other half of ``board_loader``."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.board_loader import Bench, Maker, Settings

_CPYTHON = sys.implementation.name == "cpython"


def _wire_display(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.wire_bus import WireDisplay

    return WireDisplay(bench.wire(), s["wire"])


def _wire_i2c(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.wire_bus import WireI2c

    return WireI2c(bench.wire(), s["wire"])


def _wire_spi(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.wire_bus import WireSpi

    return WireSpi(bench.wire(), s["wire"])


def _wire_pins(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.wire_bus import WirePins

    return WirePins(bench.wire(), s["wire"])


def _wire_serial(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.wire_bus import WireSerial

    return WireSerial(bench.wire(), s["wire"], s["baud"])


def _wire_card(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.wire_card import WireCardSlot

    return WireCardSlot(bench.wire(), s["wire"])


def _serial_card(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.card_line import CardLine
    from firmware.buses.contact_slot import ContactSlot

    present, power, reset = [
        (s[name + "_pin"], s.get(name + "_level", 0)) for name in ("present", "power", "reset")
    ]
    port, pins = bench.bus(s["bus"]), bench.bus(s["pins_bus"])
    return ContactSlot(CardLine(port, pins, present, power, reset, bool(s.get("echo", True))))


def _wire_net(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.wire_net import WireNet

    return WireNet(bench.wire(), s["wire"])


def _wire_wlan(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.wire_wlan import WireWlan

    network = s["ssid"], s.get("key", ""), s.get("security", "auto")
    return WireWlan(bench.wire(), s["wire"], s["net_wire"], *network)


def _wire_call(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.wire_call import WireCall

    return WireCall()


def _wire_input(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.wire_input import WireInput

    return WireInput(bench.wire(), s["wire"])


def _wire_trng(bench: "Bench", s: "Settings") -> "Any":
    return bench.wire(), s["wire"]


def _linux_i2c(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.i2c_linux import LinuxI2c

    return LinuxI2c(s["port"])


def _linux_spi(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.spi_linux import LinuxSpi

    return LinuxSpi(s["port"], s["device"], s.get("hz", 1_000_000))


def _linux_serial(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.serial_linux import LinuxSerial

    return LinuxSerial(s["path"], s["baud"], bool(s.get("flow", False)))


def _usb_printer(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.usb_printer_linux import UsbPrinter

    return UsbPrinter(s["path"])


def _sysfs_pwm(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.pwm_linux import SysfsPwm

    return SysfsPwm(s["chip"])


def _rpi_pins(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.pins_rpi import RpiPins

    return RpiPins()


def _luma_i2c(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.luma_bus import luma_i2c

    return luma_i2c(s["port"], s["address"])


def _luma_spi(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.luma_bus import luma_spi

    return luma_spi(s["port"], s["device"], s["dc_pin"], s["reset_pin"])


def _evdev(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.evdev_linux import EvdevInput

    return EvdevInput(s["devices"])


def _pcsc(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.pcsc_linux import PcscSlot

    return PcscSlot(s.get("reader", ""))


def _mpy_pins(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.pins_mpy import MpyPins

    return MpyPins()


def _mpy_i2c(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.i2c_mpy import MpyI2c

    return MpyI2c(s["port"], s["scl"], s["sda"], s.get("hz", 400_000))


def _mpy_spi(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.spi_mpy import MpySpi

    pins = s["sck"], s["mosi"], s["miso"], s["select"]
    return MpySpi(s["port"], *pins, s["hz"], s.get("mode", 0))


def _mpy_serial(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.serial_mpy import MpySerial

    return MpySerial(s["port"], s["baud"], s["tx"], s["rx"])


def _mpy_usb_serial(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.usb_mpy import MpyUsbSerial

    return MpyUsbSerial()


def _mpy_wlan(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.wlan_mpy import MpyWlan

    security, country = s.get("security", "auto"), s.get("country", "")
    return MpyWlan(s["ssid"], s.get("key", ""), security, country)


def _i2c_display(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.display_i2c import I2cDisplay

    return I2cDisplay(bench.bus(s["bus"]), s.get("address", 0x3C))


def _spi_display(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.display_spi import SpiDisplay

    pins = bench.bus(s["pins_bus"])
    return SpiDisplay(bench.bus(s["bus"]), pins, s["dc_pin"], s.get("reset_pin"))


def _tcp(bench: "Bench", s: "Settings") -> "Any":
    if _CPYTHON:
        from firmware.buses.tcp_linux import TcpLinux

        return TcpLinux()
    from firmware.buses.tcp_mpy import TcpMpy

    return TcpMpy()


BUSES: "dict[str, Maker]" = {
    "wire_display": _wire_display,
    "wire_i2c": _wire_i2c,
    "wire_spi": _wire_spi,
    "wire_pins": _wire_pins,
    "wire_serial": _wire_serial,
    "wire_card": _wire_card,
    "serial_card": _serial_card,
    "wire_net": _wire_net,
    "wire_wlan": _wire_wlan,
    "wire_call": _wire_call,
    "wire_trng": _wire_trng,
    "wire_input": _wire_input,
    "linux_i2c": _linux_i2c,
    "linux_spi": _linux_spi,
    "linux_serial": _linux_serial,
    "usb_printer": _usb_printer,
    "sysfs_pwm": _sysfs_pwm,
    "rpi_pins": _rpi_pins,
    "luma_i2c": _luma_i2c,
    "luma_spi": _luma_spi,
    "evdev": _evdev,
    "pcsc": _pcsc,
    "tcp": _tcp,
    "mpy_pins": _mpy_pins,
    "mpy_i2c": _mpy_i2c,
    "mpy_spi": _mpy_spi,
    "mpy_serial": _mpy_serial,
    "mpy_usb_serial": _mpy_usb_serial,
    "mpy_wlan": _mpy_wlan,
    "i2c_display": _i2c_display,
    "spi_display": _spi_display,
}
