"""ISO 8583 codec, dialects, the conversation with the acquirer."""
