"""Who is told of what over HTTP: endpoints, and the log of what was sent to them. Sending is the notifier's."""
