"""Shortest paths from one node, written plainly: the oracle of ``patronus.engine.pathsearch``."""

import heapq
from collections.abc import Sequence

Edge = tuple[int, int, int, int]
"""Tail, head, cost, fingerprint."""


def shortest(edges: Sequence[Edge], source: int) -> tuple[dict[int, int], dict[int, int]]:
    """Return the distance of each node that can be reached, and its last edge on the way.

    A node that is left for good looks back at all edges into it, and keeps the one with the
    smallest fingerprint among those that lead to it at its distance.
    """
    leaving: dict[int, list[int]] = {}
    for number, (tail, _, _, _) in enumerate(edges):
        leaving.setdefault(tail, []).append(number)
    distance: dict[int, int] = {}
    offers: dict[int, list[tuple[int, int, int]]] = {}
    heap = [(0, source)]
    while heap:
        far, node = heapq.heappop(heap)
        if node in distance:
            continue
        distance[node] = far
        for number in leaving.get(node, []):
            _, head, cost, key = edges[number]
            offers.setdefault(head, []).append((far + cost, key, number))
            heapq.heappush(heap, (far + cost, head))
    last = {node: min(offers[node])[2] for node in distance if node != source}
    return distance, last
