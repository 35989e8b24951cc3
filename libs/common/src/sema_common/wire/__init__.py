"""The messages that travel on RabbitMQ."""
