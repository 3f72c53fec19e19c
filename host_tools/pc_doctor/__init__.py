"""What stands between this PC and a terminal, found out and said with what to do."""
