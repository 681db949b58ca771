"""Answer heavy requests in a separate process, so that other requests are not delayed.

    gateway process                                    heavy process (`python -m services.gateway.heavy`)
    caller, limits, body        ── a socket pair ──→   the same application: parses, decides, renders
    sends the response          ←──────────────────    response bytes and increments of counters

The socket pair has no name, so other processes can't connect to it, and each side notices at once when the other one
dies. One request is answered at a time.
"""
