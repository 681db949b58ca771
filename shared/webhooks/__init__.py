"""Webhook endpoints and the log of their deliveries. The notifier does the sending."""
