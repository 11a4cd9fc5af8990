"""How many workers there should be: what waits, what is to come, what that takes, and a simulator of all of it."""
