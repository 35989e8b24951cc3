"""What the seven rooms of Sema Link share: values, wire messages, platform, billing and messages."""
