"""Package ``usb`` of micropython-lib."""
