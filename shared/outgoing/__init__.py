"""HTTP requests to addresses that other people wrote down: webhook endpoints and external code sources."""
