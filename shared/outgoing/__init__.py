"""HTTP requests to URLs configured by users: webhook endpoints and external code sources."""
