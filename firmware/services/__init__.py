"""What runs beside the flows: provisioning, receipts, the host session, self-test."""
