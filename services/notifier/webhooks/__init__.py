"""Webhook deliveries and their sender."""
