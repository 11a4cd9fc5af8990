"""Hints to workers, carried by Celery on Redis: slice ids, and nothing that would be missed if it were lost."""
