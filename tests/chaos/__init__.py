"""The proof: a simulator of the ledger's protocol, a nemesis for real processes, and the auditor of both."""
