"""How a batch's results are cut into shards, and what their objects are called."""

from __future__ import annotations

from pathlib import PurePosixPath


def shard_ranges(pages: int, per_shard: int, overlap: int = 0) -> list[range]:
    """Positions (from 0) of each shard's pages: at most `per_shard` each (0: all in one), the last `overlap` of one
    shard are the first of the next. A document without pages is one empty shard.

    Raises ValueError where shards would not move on.
    """
    if per_shard > 0 and not 0 <= overlap < per_shard:
        raise ValueError(f"{overlap} of {per_shard} pages cannot overlap")
    if per_shard <= 0 or pages <= per_shard:
        return [range(pages)]
    return [range(start, min(start + per_shard, pages)) for start in range(0, pages - overlap, per_shard - overlap)]


def destination_of(output_uri: str, operation: str, position: int) -> str:
    """Folder of one document's results."""
    return f"{output_uri.rstrip('/')}/{operation}/{position}"


def shard_name(source: str, index: int) -> str:
    """What shard `index` of the document at `source` is called in its folder."""
    return f"{PurePosixPath(source.partition('://')[2]).stem or 'document'}-{index}.json"
