"""The APIs of other products. Each is a small application that calls the same engine."""
