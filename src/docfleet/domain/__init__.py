"""Words and decisions of document reading: pure, no I/O, no framework, no clock."""
