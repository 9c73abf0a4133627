"""`changeover doctor`: every precondition of the whole chain, judged from facts, each with what mends it. Read-only."""
