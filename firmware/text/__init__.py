"""Fonts, language tables, raster, QR codes. A leaf: imports nothing of the firmware."""
