"""What is decided about payments, pure: `daraja` reads and writes the provider's bytes, `top_ups` decides."""
