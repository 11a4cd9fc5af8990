"""The dispatcher: keeps a window of hints in the broker, takes back expired leases, finishes what was left half done,
and keeps house. One leads per region; two at once only cost duplicate hints."""
