"""Words to segments: runs of words on one row with no more than word spaces between them.

A segment never crosses a column gutter or a drawn vertical line; lines are made of segments later, once columns are
known.
"""

from __future__ import annotations

import msgspec
import numpy as np

from docfleet.engines.local.layout.boxes import Bools, Boxes, Floats, Ints, subset

LINK_EM = 0.9
"""Widest word space that joins two words for sure, in font sizes. Gutters are seldom narrower than 1."""
HINTED_EM = 2.5
"""The same where the engine says that both words stand in one line."""
SAME_ROW = 0.5
"""Share of the lower word's height that must overlap."""
NEIGHBOURS = 48
"""A word is compared with at most this many others of its row, so that hostile pages stay linear."""


class Segments(msgspec.Struct, frozen=True):
    """`m` segments; `members[i]` are positions in the `Boxes`, in reading order."""

    members: list[Ints]
    x0: Floats
    y0: Floats
    x1: Floats
    y1: Floats
    em: Floats
    rtl: Bools

    @property
    def yc(self) -> Floats:
        middle: Floats = (self.y0 + self.y1) / 2
        return middle


def find_segments(whole: Boxes, at: Ints | None = None) -> Segments:
    """The segments of all words, or of those at the positions `at`; members are positions in `whole` all the same."""
    b = whole if at is None else subset(whole, at)
    chain = _content_chains(b)
    first = np.flatnonzero(np.diff(chain, prepend=-1))
    seg = _Sides(
        np.minimum.reduceat(b.x0, first), np.minimum.reduceat(b.y0, first),
        np.maximum.reduceat(b.x1, first), np.maximum.reduceat(b.y1, first),
        np.maximum.reduceat(b.em, first), b.hint[first], np.logical_or.reduceat(b.rtl, first),
    )  # fmt: skip
    group = _merge_on_rows(b, seg)
    found = _collect(b, group[chain])
    return found if at is None else msgspec.structs.replace(found, members=[at[k] for k in found.members])


class _Sides(msgspec.Struct, frozen=True):
    x0: Floats
    y0: Floats
    x1: Floats
    y1: Floats
    em: Floats
    hint: Ints
    rtl: Bools


def _content_chains(b: Boxes) -> Ints:
    """Chain number of each word: words that follow one another both in the file and on the page share one."""
    if len(b.x0) == 1:
        return np.zeros(1, dtype=np.int64)
    gap = b.x0[1:] - b.x1[:-1]
    if b.rtl.any():
        gap = np.where(b.rtl[1:] & b.rtl[:-1], b.x0[:-1] - b.x1[1:], gap)
    em = np.minimum(b.em[1:], b.em[:-1])
    overlap = np.minimum(b.y1[1:], b.y1[:-1]) - np.maximum(b.y0[1:], b.y0[:-1])
    low = np.minimum(b.y1[1:] - b.y0[1:], b.y1[:-1] - b.y0[:-1])
    hinted = (b.hint[1:] >= 0) & (b.hint[1:] == b.hint[:-1])
    parted = (b.hint[1:] >= 0) & (b.hint[:-1] >= 0) & ~hinted
    linked: Bools = (
        (overlap >= SAME_ROW * low) & (gap > -0.8 * em) & (gap < np.where(hinted, HINTED_EM, LINK_EM) * em) & ~parted
    )
    if len(b.verticals) and linked.any():
        at = np.flatnonzero(linked)
        linked[at] = ~_ruled_apart(b, b.x1[at], b.x0[at + 1], (b.y0[at] + b.y1[at]) / 2)
    return np.concatenate(([0], np.cumsum(~linked)))


def _ruled_apart(b: Boxes, left: Floats, right: Floats, y: Floats) -> Bools:
    """For each gap: does a drawn vertical line stand in it?"""
    lines = b.verticals[:400]
    x = (lines[:, 0] + lines[:, 2]) / 2
    slack = 1.0
    inside: Bools = (x[None, :] > left[:, None] - slack) & (x[None, :] < right[:, None] + slack)
    inside &= (lines[None, :, 1] <= y[:, None]) & (lines[None, :, 3] >= y[:, None])
    hit: Bools = np.asarray(inside.any(axis=1))
    return hit


def near_pairs(yc: Floats, reach: Floats, most: int = NEIGHBOURS) -> tuple[Ints, Ints]:
    """Pairs (i, j) whose middles lie within `reach[i]`, each i with at most `most` that follow it in y order."""
    order = np.argsort(yc, kind="stable")
    sorted_y = yc[order]
    ends = np.searchsorted(sorted_y, sorted_y + reach[order], side="right")
    counts = np.minimum(ends - np.arange(len(yc)) - 1, most)
    counts = np.maximum(counts, 0)
    a = np.repeat(np.arange(len(yc)), counts)
    offset = np.arange(len(a)) - np.repeat(np.cumsum(counts) - counts, counts)
    return order[a], order[a + offset + 1]


def _merge_on_rows(b: Boxes, s: _Sides) -> Ints:
    """Group number of each chain: chains of one row that lie a word space apart belong together."""
    m = len(s.x0)
    i, j = near_pairs((s.y0 + s.y1) / 2, (s.y1 - s.y0) * 0.6 + 0.01)
    swap = s.x0[j] < s.x0[i]
    left, right = np.where(swap, j, i), np.where(swap, i, j)
    gap = s.x0[right] - s.x1[left]
    em = np.minimum(s.em[left], s.em[right])
    overlap = np.minimum(s.y1[left], s.y1[right]) - np.maximum(s.y0[left], s.y0[right])
    low = np.minimum(s.y1[left] - s.y0[left], s.y1[right] - s.y0[right])
    parted = (s.hint[left] >= 0) & (s.hint[right] >= 0) & (s.hint[left] != s.hint[right])
    reach = np.where(parted, 0.6, LINK_EM)
    fits = (overlap >= SAME_ROW * low) & (gap > -0.5 * em) & (gap < reach * em)
    left, right, gap = left[fits], right[fits], gap[fits]
    if len(b.verticals) and len(left):
        free = ~_ruled_apart(b, s.x1[left], s.x0[right], (s.y0[left] + s.y1[left]) / 2)
        left, right, gap = left[free], right[free], gap[free]
    after, before = np.full(m, -1), np.full(m, -1)
    for k in np.argsort(gap, kind="stable").tolist():
        p, q = left[k], right[k]
        if after[p] < 0 and before[q] < 0:
            after[p], before[q] = q, p
    return _chain_labels(after, before)


def _chain_labels(after: Ints, before: Ints) -> Ints:
    labels = np.full(len(after), -1)
    following = after.tolist()
    for number, head in enumerate(np.flatnonzero(before < 0).tolist()):
        node = head
        while node >= 0:
            labels[node] = number
            node = following[node]
    return labels


def _collect(b: Boxes, label: Ints) -> Segments:
    key = np.where(b.rtl, -b.x1, b.x0)
    rtl_share = np.bincount(label, weights=b.rtl) > 0.5 * np.bincount(label)
    key = np.where(rtl_share[label], -b.x1, b.x0)
    order = np.lexsort((key, label))
    sorted_label = label[order]
    first = np.flatnonzero(np.diff(sorted_label, prepend=-1))
    members = np.split(order, first[1:])
    return Segments(
        members,
        np.minimum.reduceat(b.x0[order], first), np.minimum.reduceat(b.y0[order], first),
        np.maximum.reduceat(b.x1[order], first), np.maximum.reduceat(b.y1[order], first),
        np.maximum.reduceat(b.em[order], first), rtl_share[sorted_label[first]],
    )  # fmt: skip
