"""Ids of entities, unique within a document.

Document AI numbers them "0", "1", ... depth first, properties included, with holes; the shards of one document use the
same numbers again (measured on five shards of 48 pages), custom processors long hexadecimal ids.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from docfleet.documentai_format.anchoring import with_descendants
from docfleet.domain.entities import Entity, EntityRelation

Names = dict[str, str]
"""Old id -> new one."""


def rebased(entities: tuple[Entity, ...]) -> Names:
    """Names that count from 0 with the same holes, where all ids are numbers; else none change."""
    ids = [entity.id for entity in with_descendants(entities) if entity.id]
    if not all(_is_number(name) for name in ids):
        return {}
    least = min(map(int, ids), default=0)
    return {name: str(int(name) - least) for name in ids} if least else {}


def distinct(documents: Sequence[tuple[Entity, ...]]) -> list[Names]:
    """For each document's entities, names under which no two documents share an id.

    Nothing changes where they share none. Where they do, numbers go on counting from one document to the next; any
    other id that was used before gets its document's position (from 0) behind it.
    """
    ids = [{entity.id for entity in with_descendants(entities) if entity.id} for entities in documents]
    if len(set().union(*ids)) == sum(map(len, ids)):
        return [{} for _ in ids]
    used: set[str] = set()
    names: list[Names] = []
    following = 0
    for position, own in enumerate(ids):
        numbers = [int(name) for name in own if _is_number(name)]
        new = {}
        for name in sorted(own):
            wanted = str(int(name) + following) if _is_number(name) else name
            while wanted in used:
                wanted = f"{wanted}-{position}"
            used.add(wanted)
            new[name] = wanted
        following += max(numbers, default=-1) + 1
        names.append({old: name for old, name in new.items() if old != name})
    return names


def renamed(entities: tuple[Entity, ...], names: Names) -> tuple[Entity, ...]:
    if not names:
        return entities
    return tuple(
        [
            msgspec.structs.replace(
                entity, id=names.get(entity.id, entity.id), properties=renamed(entity.properties, names)
            )
            for entity in entities
        ]
    )


def renamed_relations(relations: tuple[EntityRelation, ...], names: Names) -> tuple[EntityRelation, ...]:
    return tuple(
        [
            msgspec.structs.replace(
                one,
                subject_id=names.get(one.subject_id, one.subject_id),
                object_id=names.get(one.object_id, one.object_id),
            )
            for one in relations
        ]
    )


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) < 10 and str(int(name)) == name
