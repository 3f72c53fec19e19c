"""The virtual handheld: chips, rack, page."""
