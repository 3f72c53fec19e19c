"""What runs on the PC: `till` and the parts behind it."""
