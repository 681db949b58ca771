"""Webhooks: endpoints that want to be told, and the sender that tells them."""
