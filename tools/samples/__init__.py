"""The parts of `draw_samples.py`: typesetting, degradation, damage, and the documents themselves."""
