"""Choosing pair by pair in registers.

For whole sites: see ``engine.lanes`` and ``engine.fan``. Both passes look at the marked pairs
of some sites, choose, write the wanted table where something is new, and take the mark away.
Doubtful pairs keep it. For any entries, whatever may carry them: see ``engine.selection``.
"""

from typing import Any, Final

import numpy as np

from patronus.engine import lanes
from patronus.engine.forwarding import NO_ROW
from patronus.engine.knowledge import BADNESS_BITS
from patronus.engine.lanes import (
    _DRAINED,
    _FAR,
    _GRADE_SHIFT,
    _METRIC_MAX,
    _METRIC_SHIFT,
    _SAME,
    _TIER_SHIFT,
    _VERDICTS,
)
from patronus.engine.liveness import State
from patronus.engine.overlay import I64
from patronus.engine.preference import DETOUR, DRAINED, PLACE, TRANSIT
from patronus.engine.selection import LAST_RESORT, METRIC_BITS
from patronus.engine.units import NEVER, PPM
from patronus.engine.verdict import COMPLIANT, OUTAGE, UNKNOWN_BADNESS_NS, VIOLATING
from patronus.sim.compiled.jit import compiled, part
from patronus.sim.compiled.judging import whole_of

_UP: Final = int(State.UP)
_FAR_SHIFT: Final = 62
_METRIC_MASK: Final = _METRIC_MAX - 1
_LANE: Final = lanes.LANES_MAX
"""The lowest bits of a key: which lane it is."""

# Of keys of any entries.
_BADNESS: Final = (1 << BADNESS_BITS) - 1
_RESORT: Final = LAST_RESORT << METRIC_BITS

assert _FAR == 1 << _FAR_SHIFT, "one bit"
assert lanes.LANES_MAX == 3, "two bits for a lane, and three keys to put in order"


@part
def _write(
    wanted: Any, drop: Any, shared_fate: Any, entry: Any, rows: Any, drops: Any, shared: Any
) -> Any:
    """Write what an entry holds; tell whether it held something else."""
    other = drop[entry] != drops or shared_fate[entry] != shared
    for rank in range(3):
        other |= wanted[entry, rank] != rows[rank]
    if other:
        drop[entry], shared_fate[entry] = drops, shared
        for rank in range(3):
            wanted[entry, rank] = rows[rank]
    return other


@part
def _share(fates: Any, one: Any, other: Any) -> Any:
    """Tell whether two tunnels cross a group together."""
    found = False
    for word in range(fates.shape[1]):
        found |= (fates[one, word] & fates[other, word]) != 0
    return found


@part
def _least(keys: Any, forbidden: Any) -> Any:
    """Return the least key but for a set of them; one that stands for none if there is no other."""
    least = np.int64(_FAR + len(keys))
    for number in range(len(keys)):
        least = min(least, keys[number] | (forbidden >> number & 1) << _FAR_SHIFT)
    return least


@compiled
def side_by_side(  # noqa: C901, PLR0912, PLR0915  # one walk, as in dozing
    sites: I64, asked: Any, laid: Any, table: Any, fresh: bool, found: Any
) -> tuple[int, int, int, int]:
    """Choose for pairs of sites that have their own tunnels alone.

    Args:
        sites: which, ascending.
        asked: place of each site among the marks, the marks, the class, and the number of
            destinations and of classes.
        laid: the fields of ``engine.lanes.Laid``.
        table: rows, drop, shared fate and tier, by entry.
        fresh: whether metrics of this moment are up to date.
        found: arrays of one element a pair, for: entries written; entries moved, before,
            after, the verdicts of both; pairs waiting; pairs contested.

    Returns:
        How many of each there are.
    """
    places, marked, number, destinations, classes = asked
    rows, parts, state, drained, verdict, published, now, fates, margin_ns, margin_ppm = laid
    wanted, drop, shared_fate, tiers = table
    written, moved, before, after, left_of, tier_of, waiting, contested = found
    count, ends = rows.shape[0], rows.shape[2]
    writes = moves = waits = contests = 0
    chosen = np.empty(3, dtype=np.int32)
    for at in range(len(sites)):
        site, place = sites[at], places[at]
        for to in range(ends):
            if not marked[place, to, number]:
                continue
            one, other, third = np.int64(_FAR), np.int64(_FAR), np.int64(_FAR)
            unknown = False
            for lane in range(count):
                row = np.int64(rows[lane, site, to])
                metric = published[row]
                up = state[row] == _UP
                unknown |= row != NO_ROW and up and metric >= _METRIC_MAX
                kind = np.int64(drained[row]) * 2 + np.int64(up)
                kind = (kind * _VERDICTS + np.int64(verdict[row])) * count + lane
                key = parts[kind] + (metric << _METRIC_SHIFT) + lane
                key = np.int64(_FAR) + lane if row == NO_ROW or metric >= _METRIC_MAX else key
                # Put it among those before it, without a branch.
                one, key = min(one, key), max(one, key)
                other, key = min(other, key), max(other, key)
                third = min(third, key)
            tied = (other < _FAR and one ^ other < _SAME) or (
                third < _FAR and other ^ third < _SAME
            )
            if unknown or tied:
                continue
            entry = (site * destinations + to) * classes + number
            was = np.int64(wanted[entry, 0])
            left, waits_here = np.int64(-1), False
            if one < _FAR and rows[one & _LANE, site, to] != was:
                held = np.int64(_FAR)
                if other < _FAR and rows[other & _LANE, site, to] == was:
                    held = other
                elif third < _FAR and rows[third & _LANE, site, to] == was:
                    held = third
                stays = False
                if held < _FAR:
                    left = held >> _TIER_SHIFT & OUTAGE
                    if held >> _GRADE_SHIFT == one >> _GRADE_SHIFT:
                        smooth = held >> _METRIC_SHIFT & _METRIC_MASK
                        rival = one >> _METRIC_SHIFT & _METRIC_MASK
                        better = rival + max(margin_ns, smooth * margin_ppm // PPM) < smooth
                        if better and not fresh:
                            contested[contests] = site * ends + to
                            contests += 1
                            continue
                        waits_here = better and now[rows[one & _LANE, site, to]] > now[was]
                        stays = not better or waits_here
                if stays:
                    third = other if held == third else third
                    one, other = held, one
            marked[place, to, number] = False
            if waits_here:
                waiting[waits] = site * destinations + to
                waits += 1
            if one >= _FAR:
                # With nothing usable the last primary stays: fail static.
                chosen[0], chosen[1], chosen[2] = was, NO_ROW, NO_ROW
                shared, tier = was != NO_ROW, np.int64(VIOLATING)
            else:
                chosen[0] = rows[one & _LANE, site, to]
                chosen[1] = rows[other & _LANE, site, to] if other < _FAR else NO_ROW
                chosen[2] = rows[third & _LANE, site, to] if third < _FAR else NO_ROW
                tier = one >> _TIER_SHIFT & OUTAGE
                shared = other >= _FAR or _share(fates, chosen[0], chosen[1])
                if (
                    shared
                    and third < _FAR
                    and (third < _DRAINED or other >= _DRAINED)
                    and not _share(fates, chosen[0], chosen[2])
                ):
                    chosen[1], chosen[2], shared = chosen[2], chosen[1], False
            tiers[entry] = tier
            if _write(wanted, drop, shared_fate, entry, chosen, False, shared):
                written[writes] = entry
                writes += 1
            if chosen[0] != was:
                moved[moves], before[moves], after[moves] = entry, was, chosen[0]
                left_of[moves], tier_of[moves] = left, tier
                moves += 1
    return writes, moves, waits, contests


@compiled
def fan_out(  # noqa: C901, PLR0915  # one walk, as in dozing
    sites: I64, asked: Any, spread: Any, sums: Any, table: Any, found: Any
) -> tuple[int, int, int]:
    """Choose for pairs that lead through transit sites alone.

    Args:
        sites: which, ascending.
        asked: place of each site among the marks, the marks, the class, and the number of
            destinations and of classes; column of each row.
        spread: destinations; rows, verdicts and odd pairs of ``engine.fanout.Spread``; grade,
            metric, metric of this moment, usability, end and rest of ``engine.fan.Fan``, each
            with an axis of these sites.
        sums: the fields of ``engine.fan.Sums``, each with an axis of these sites.
        table: rows, drop, shared fate and tier, by entry.
        found: as in :func:`side_by_side`, without pairs contested.

    Returns:
        How many of each there are.
    """
    places, marked, number, destinations, classes, column = asked
    targets, rows, tiers_of, odd, grade, metric, now, usable, end, beyond = spread
    own, rest, bits, forbidden, disjoint, forbidden_then, tied, margin_ns, margin_ppm, worst = sums
    wanted, drop, shared_fate, tiers = table
    written, moved, before, after, left_of, tier_of, waiting, _ = found
    columns = own.shape[0]
    mask = (1 << bits) - 1
    key = np.empty(columns, dtype=np.int64)
    chosen = np.empty(3, dtype=np.int32)
    writes = moves = waits = 0
    for at in range(len(sites)):
        site, place = sites[at], places[at]
        for j in range(len(targets)):
            to = targets[j]
            if not marked[place, to, number] or tied[at, j] or odd[at, j]:
                continue
            marked[place, to, number] = False
            for c in range(columns):
                key[c] = own[c, at] + rest[end[c], j]
            least = _least(key, 0)
            lead = least & mask
            entry = (site * destinations + to) * classes + number
            was = np.int64(wanted[entry, 0])
            held = columns if was == NO_ROW else column[was]
            left = -1
            if held < columns and usable[held, at]:
                left = tiers_of[at, held]
                if held != lead and grade[held, at] == grade[lead, at]:
                    mine, its = beyond[end[held], j], beyond[end[lead], j]
                    smooth = metric[held, at] + mine
                    margin = max(margin_ns, smooth * margin_ppm // PPM)
                    better = metric[lead, at] + its + margin < smooth
                    no_worse = min(now[lead, at] + its, worst) <= min(now[held, at] + mine, worst)
                    if better and not no_worse:
                        waiting[waits] = site * destinations + to
                        waits += 1
                    if not (better and no_worse):
                        lead = held
            first = _least(key, forbidden[at, lead]) & mask
            second = _least(key, forbidden_then[at, lead, first]) & mask
            chosen[0], chosen[1], chosen[2] = rows[at, lead], rows[at, first], rows[at, second]
            if chosen[0] == NO_ROW:
                # With nothing usable the last primary stays: fail static.
                chosen[0] = was
            shared = not disjoint[at, lead] and chosen[0] != NO_ROW
            tier = tiers_of[at, lead]
            tiers[entry] = tier
            if _write(wanted, drop, shared_fate, entry, chosen, False, shared):
                written[writes] = entry
                writes += 1
            if chosen[0] != was:
                moved[moves], before[moves], after[moves] = entry, was, chosen[0]
                left_of[moves], tier_of[moves] = left, tier
                moves += 1
    return writes, moves, waits


@part
def _least_of(keys: Any, some: Any) -> Any:
    """Return the place of the least key of some, -1 if all are ``NEVER``, and whether it is twice.

    ``some`` holds a mark for each key.
    """
    place, least, twice = -1, NEVER, False
    for number in range(len(keys)):
        if some[number] and keys[number] <= least and keys[number] < NEVER:
            twice = keys[number] == least
            place, least = number, keys[number]
    return place, twice


@part
def _next(keys: Any, apart: Any, every: Any) -> Any:
    """Return the best of those left, whether it is apart, and whether names have to decide."""
    best, twice = _least_of(keys, every)
    wished, doubt = _least_of(keys, apart)
    good = wished >= 0 and (keys[wished] < _RESORT or keys[best] >= _RESORT)
    return wished if good else best, good, twice or doubt


@part
def _stand_apart(
    apart: Any, chosen: Any, keys: Any, rows: Any, lane: Any, end: Any, fates: Any
) -> None:
    """Take the marks of those left that share lane, end or group with a candidate."""
    for c in range(len(rows)):
        if apart[c] and keys[c] < NEVER:
            near = lane[c] == lane[chosen] or (end[c] >= 0 and end[c] == end[chosen])
            apart[c] = not (near or _share(fates, rows[c], rows[chosen]))


@compiled
def one_by_one(  # noqa: C901, PLR0912, PLR0915  # one walk, as in dozing
    entries: I64, ground: Any, moment: Any, wishes: Any, table: Any, keep: bool,
    found: Any, others: I64,
) -> tuple[int, int, int, int]:  # fmt: skip
    """Choose for entries, whatever may carry them.

    Args:
        entries: which, ascending.
        ground: where candidates are, as in ``engine.prospects``.
        moment: what is known of them.
        wishes: what the policy of the entries' sites asks.
        table: rows, drop, shared fate and tier, by entry.
        keep: primaries that can be used stay.
        found: as in :func:`side_by_side`, without pairs contested.
        others: where entries are put of which nothing is said.

    Returns:
        How many of each there are.
    """
    direct, order, transit, behind, home, only, through, carries, rank, dst, transport = ground
    state, drained, settled, fates, verdict, published, now, told = moment[:8]
    slot, held, believed, announces, offers, figures, worst, fresh = moment[8:]
    graded, forbidden, limits, drops, stays, shares, margin_ns, margin_ppm = wishes[:8]
    by_sla, with_transit, backups = wishes[8:]
    wanted, drop, shared_fate, tiers = table
    written, moved, before, after, left_of, tier_of, waiting, _ = found
    near, destinations, classes = direct.shape[0], direct.shape[2], len(limits)
    lanes = transit.shape[1]
    columns = near + len(through) * lanes * with_transit
    rows, lane, end, tier, metric, beyond, key = np.empty((7, columns), dtype=np.int64)
    apart, every = np.ones((2, columns), dtype=np.bool_)
    asked, suspect = np.full((2, classes, columns), -1, dtype=np.int64)
    chosen = np.empty(3, dtype=np.int32)
    writes = moves = waits = left = 0
    for entry in entries:
        pair, number = entry // classes, entry % classes
        site, to = pair // destinations, pair % destinations
        was = np.int64(wanted[entry, 0])
        settles, at_home = True, False
        for c in range(near):
            row = direct[c, site, to]
            settles &= row == NO_ROW or settled[row]
        for place in range(home.shape[1]):
            at_home |= home[to, place] == site
        incumbent, complies = -1, False
        for c in range(columns):
            beyond[c], key[c] = 0, NEVER
            offer = np.int64(0)
            if c < near:
                row = np.int64(direct[c, site, to])
                if row == NO_ROW or not announces[held[site, slot[dst[row]]], to]:
                    continue
                end[c] = -1 if only[to] else dst[row]
            else:
                far = (c - near) // lanes
                row, end[c] = np.int64(transit[far, (c - near) % lanes, site]), through[far]
                if row == NO_ROW or at_home or behind[far, to]:
                    continue
                if carries[site] and not settles and rank[end[c]] < rank[site]:
                    continue
                there = slot[end[c]]
                content = held[site, there] * believed[site, there]
                offer = offers[content, number, to]
                beyond[c] = offer & _BADNESS
            rows[c], lane[c] = row, transport[row]
            if state[row] != _UP or forbidden[number, lane[c]] or offer < 0:
                continue
            tier[c] = verdict[number, row]
            metric[c] = min(published[row] + beyond[c], UNKNOWN_BADNESS_NS)
            if c >= near and by_sla:
                tier[c] = max(tier[c], offer >> BADNESS_BITS)
                # Nearly always the worst destination complies: that is asked once a site.
                if asked[number, c] != site:
                    asked[number, c], rest = site, worst[content, number]
                    suspect[number, c] = whole_of(told[:, row], rest, limits[number]) > COMPLIANT
                if suspect[number, c]:
                    rest = figures[content, to, number]
                    tier[c] = max(tier[c], whole_of(told[:, row], rest, limits[number]))
            if drops[number] and tier[c] >= VIOLATING:
                continue
            grade = graded[number, tier[c] * forbidden.shape[1] + lane[c]]
            if tier[c] < VIOLATING:
                grade += order[c, to] * PLACE if c < near else TRANSIT
            grade += DETOUR * (c >= near and carries[site]) + DRAINED * drained[row]
            key[c] = (grade << METRIC_BITS) + metric[c]
            complies |= tier[c] == COMPLIANT and grade < LAST_RESORT
            if row == was:
                incumbent = c
        left_tier = tier[incumbent] if incumbent >= 0 else -1
        rests = keep
        if stays[number] and not complies and incumbent >= 0:
            rests |= key[incumbent] < _RESORT and left_tier < OUTAGE
        if rests and incumbent >= 0:
            key[incumbent] = (-1 << METRIC_BITS) + metric[incumbent]
        first, doubt = _least_of(key, every)
        waits_here = False
        if incumbent not in (-1, first) and key[incumbent] >> METRIC_BITS == (
            key[first] >> METRIC_BITS
        ):
            margin = max(margin_ns, metric[incumbent] * margin_ppm // PPM)
            better = metric[first] + margin < metric[incumbent]
            doubt |= better and not fresh
            mine = min(now[rows[incumbent]] + beyond[incumbent], UNKNOWN_BADNESS_NS)
            its = min(now[rows[first]] + beyond[first], UNKNOWN_BADNESS_NS)
            waits_here = better and its > mine
            first = first if better and not waits_here else incumbent
        chosen[:], shared, tier_here = NO_ROW, False, np.int64(VIOLATING)
        if first >= 0:
            chosen[0], tier_here, key[first] = rows[first], tier[first], NEVER
            apart[:] = True
            _stand_apart(apart, first, key, rows, lane, end, fates)
            second, good, twice = _next(key, apart, every)
            shared = not good
            doubt |= twice
            if second >= 0:
                chosen[1], key[second] = rows[second], NEVER
                _stand_apart(apart, second, key, rows, lane, end, fates)
                third, _, twice = _next(key, apart, every)
                doubt |= twice
                if third >= 0:
                    chosen[2] = rows[third]
        if doubt or shares[number]:
            others[left] = entry
            left += 1
            continue
        if not backups:
            chosen[1] = chosen[2] = NO_ROW
        if first < 0 and not drops[number]:
            # With nothing usable the last primary stays: fail static.
            chosen[0], shared = was, was != NO_ROW
        if waits_here:
            waiting[waits] = pair
            waits += 1
        tiers[entry] = tier_here
        if _write(wanted, drop, shared_fate, entry, chosen, drops[number], shared):
            written[writes] = entry
            writes += 1
        if chosen[0] != was:
            moved[moves], before[moves], after[moves] = entry, was, chosen[0]
            left_of[moves], tier_of[moves] = left_tier, tier_here
            moves += 1
    return writes, moves, waits, left
