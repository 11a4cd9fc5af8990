"""Fleets that do not exist: the same policy code, a virtual clock, recorded or made-up demand."""
