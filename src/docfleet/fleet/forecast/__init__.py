"""Demand of the next hours and days, from what the ledger has seen."""
