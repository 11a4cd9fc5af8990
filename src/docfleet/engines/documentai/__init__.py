"""Google Document AI as an engine: what is known of the service, how it is called, and what its answers mean.

Nothing of Google's is imported before the first call is made.
"""
