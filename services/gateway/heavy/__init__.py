"""Heavy requests in a process of their own, so that nobody else waits for them.

    gateway process                                    heavy process (`python -m services.gateway.heavy`)
    caller, rates, guard, body  ── a socket pair ──→   the same application: reads, judges, writes the answer
    sends the answer's bytes    ←──────────────────    bytes, and what was counted meanwhile

The two share a socket pair that has no name, so nobody else can speak to either end, and each sees at once when the
other is gone. One request is answered at a time.
"""
