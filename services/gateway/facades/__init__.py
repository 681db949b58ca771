"""APIs that clients already speak, each a thin application of its own."""
