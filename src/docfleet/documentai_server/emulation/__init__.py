"""Document AI's quotas, latency and faults to order, repeatable by seed and testable by a virtual clock."""
