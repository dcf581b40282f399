"""Faults × loads against a provider that keeps its own ledger: what is lost, doubled, stuck, leaked, exceeded."""
