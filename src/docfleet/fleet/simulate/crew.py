"""The workers of a simulated pool and the nodes they run on: asked for, starting, live, gone; and what they cost.

The newest worker goes first, and workers fill nodes one by one, so that nodes empty as the pool shrinks. What the
controller of a cluster would do on its own (replace what died) happens here too.
"""

from __future__ import annotations

from bisect import insort

from docfleet.fleet.simulate.world import Machines


class Crew:
    """Counts, not individuals: starting workers by the moment they are ready, live ones, nodes with theirs."""

    def __init__(self, machines: Machines, workers: int) -> None:
        self._machines = machines
        self.live = workers
        self._starting: list[float] = []
        """When each will be ready, rising."""
        self._nodes = self._nodes_for(workers)
        """That workers are on, or are to be on."""
        self._newest_ready = 0.0
        """When the newest of them takes containers."""
        self._spare: list[float] = []
        """When each node that is empty was left, the longest empty first."""
        self._at = 0.0
        self.worker_seconds = 0.0
        self.node_seconds = 0.0

    @property
    def workers(self) -> int:
        """Asked for: live and starting."""
        return self.live + len(self._starting)

    @property
    def nodes(self) -> int:
        """That are paid for, empty ones too."""
        return self._nodes + len(self._spare)

    def advance(self, now: float) -> None:
        """Pays for the time since the last moment, lets those that are ready begin, gives empty nodes back."""
        passed = now - self._at
        self.worker_seconds += self.workers * passed
        self.node_seconds += self.nodes * passed
        self._at = now
        while self._starting and self._starting[0] <= now + 1e-9:
            self._starting.pop(0)
            self.live += 1
        while self._spare and now - self._spare[0] >= self._machines.node_idle_seconds:
            self._spare.pop(0)

    def resize(self, workers: int) -> None:
        """Asks for so many: more are started, the newest are stopped; those that start still first."""
        while self.workers > workers:
            if self._starting:
                self._starting.pop()
            else:
                self.live -= 1
                self.worker_seconds += self._machines.drain_seconds
        while self.workers < workers:
            self._start_one()
        wanted = self._nodes_for(workers)
        while self._nodes > wanted:
            self._nodes -= 1
            self._spare.append(self._at)

    def _start_one(self) -> None:
        if self._nodes_for(self.workers + 1) > self._nodes:
            self._nodes += 1
            if self._spare:
                self._spare.pop()
            else:
                self._newest_ready = self._at + self._machines.node_start_seconds
        insort(self._starting, max(self._at, self._newest_ready) + self._machines.worker_start_seconds)

    def lose_nodes(self, nodes: int) -> int:
        """Nodes die; their workers are started anew on others. Returns how many live workers were lost."""
        machines = self._machines
        lost = min(self.live, nodes * machines.workers_per_node)
        if lost:
            self.live -= lost
            self._newest_ready = self._at + machines.replaced_after_seconds + machines.node_start_seconds
            for _ in range(lost):
                insort(self._starting, self._newest_ready + machines.worker_start_seconds)
        return lost

    def _nodes_for(self, workers: int) -> int:
        return -(-workers // self._machines.workers_per_node)
