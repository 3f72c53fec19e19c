"""What drivers stand on: serial port, I2C, pins, display bus, card channel, raw network."""
