"""What the merchant does: one straight-line coroutine a flow."""
