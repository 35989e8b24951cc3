"""What every room stands on: settings, logs, telemetry, stores, broker, runtime."""
