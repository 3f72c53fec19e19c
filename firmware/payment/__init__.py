"""What a payment is: no screens, no hardware."""
