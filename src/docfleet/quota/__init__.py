"""Quotas and breakers of cloud engines: in one process, or shared by all through Redis on the server's clock."""
