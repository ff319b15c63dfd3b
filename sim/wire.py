"""What happens to a packet on its way: the truth that nobody in the overlay knows.

A packet's fate in one direction follows from the state of every link it crosses
at the instant it departs: it survives all of them or is lost, and arrives after
the sum of their delays plus bounded noise. Faults and loss bursts are functions
of time that do not depend on what the overlay does, so fates can be computed
ahead. What does depend on it, congestion and the providers' routes, changes only
between windows (on the grid of 100 ms that the world steps on).

Parameters that stay constant through a window are *folded* into one array a
quantity, an element a row. Rows with a link that changes in the window are
*lively*: their packets are looked up one by one.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from patronus.engine.arrays import distinct, hits
from patronus.engine.fingerprint import U64, mix
from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.units import LONG_AGO, MS, NEVER, PPM
from patronus.sim.bursts import Bad, Bursts
from patronus.sim.faults.effects import LinkEffects
from patronus.sim.faults.outages import Mutes
from patronus.sim.inverse import Inverse
from patronus.sim.luck import (
    LOSS_BITS,
    Bools,
    hit,
    loss_back,
    loss_out,
    noise_back,
    noise_ns,
    noise_out,
    object_keys,
    threshold,
    words,
)
from patronus.sim.passage import Passage, Sky
from patronus.sim.topology.routes import as_wide, matrix_of, segment_sum, segments
from patronus.sim.underlay import Underlay
from patronus.sim.usual import Usual

WINDOW_NS: Final = 100 * MS
"""Widest window: the grid on which congestion and provider routes change."""

_COMMON_MTU: Final = 1500  # no measured packet is larger, so only smaller MTUs need a look


class Wire:
    """The underlay in time; call :meth:`begin` for each window, in order."""

    def __init__(
        self, overlay: Overlay, underlay: Underlay, effects: LinkEffects, mutes: Mutes, seed: int
    ) -> None:
        self.overlay, self.underlay, self.effects = overlay, underlay, effects
        self.mutes = mutes
        self.rerouted = False
        """Some route has changed in the last window."""
        self.words = object_keys(seed, "probe", overlay.key)
        burst = underlay.links.burst
        self._bursts = Bursts(object_keys(seed, "burst", underlay.links.key), burst)
        self.touched_links: I64 = np.zeros(0, dtype=np.int64)
        """Links to which faults do something in the window."""
        self.burst_ppm = np.array(
            [b.loss_ppm if b else 0 for b in (*burst, None, None)], dtype=np.int64
        )
        self._access_ns, self._segment_ns, self._bound_ns = self._longest_access_ns(), 0, 0
        """Longest way over both access links, over a provider, and of all there ever were."""
        self._lay_routes()
        self._index_rows()
        links = len(underlay.links.names)
        self.congestion_delay_ns = np.zeros(links, dtype=np.int64)
        self.congestion_loss_ppm = np.zeros(links, dtype=np.int64)
        self._special = np.zeros(links + 2, dtype=np.bool_)
        self._special[-1] = True
        rows = overlay.rows
        self.delay_ns, self.delay_back_ns = np.zeros((2, rows), dtype=np.int64)
        self.jitter_ns, self.jitter_back_ns = np.zeros((2, rows), dtype=np.int64)
        self.limit, self.limit_back = np.zeros((2, rows), dtype=np.uint64)
        self._is_lively, self._is_odd = np.zeros((2, rows), dtype=np.bool_)
        self.usual_since_ns: I64 = np.full(rows, LONG_AGO, dtype=np.int64)
        """Since when each row's links do what they do usually, bursts among that, at the
        latest."""
        self.lively = np.zeros(0, dtype=np.int64)
        """Rows of the window that must be looked up packet by packet, sorted."""
        self._usual = Usual(underlay.links, rows)
        self.before_change: Callable[[I64], None] = _nobody_minds
        """Called with rows of which links or queues are about to be other ones."""
        self._unfolded: list[I64] = []
        self._refold(np.arange(rows, dtype=np.int64))
        self.start_ns = self.end_ns = self.horizon_ns = 0

    # ------------------------------------------------------------ routes

    def _lay_routes(self) -> None:
        """Give each row its access links and its segment; segments of all providers in a line."""
        src, dst, transport = self.overlay.src, self.overlay.dst, self.overlay.transport
        under = self.underlay
        sizes = np.array([len(p.nodes) for p in under.providers], dtype=np.int64)
        self._first_segment = np.concatenate([[0], np.cumsum(sizes * sizes)])
        self.up = under.up[src, transport]
        self.down = under.down[dst, transport]
        pops = under.pop[src, transport] * sizes[transport] + under.pop[dst, transport]
        self.segment = (self._first_segment[transport] + pops).astype(np.int32)
        self._failed: list[frozenset[int]] = [frozenset()] * len(under.providers)
        self._routes: list[I32] = []
        for number in range(len(under.providers)):
            self._routes.append(self._padded(number, frozenset()))
        self._join_routes()

    def _padded(self, provider: int, failed: frozenset[int]) -> I32:
        """Return a provider's segments as a matrix of links."""
        table, own = segments(self.underlay, provider, failed), self.underlay.links
        longest = segment_sum(table, own.delay_ns + own.jitter_ns)
        self._segment_ns = max(self._segment_ns, int(longest.max(initial=0)))
        return matrix_of(table, self.neutral)

    def _join_routes(self) -> None:
        self.route = np.concatenate(as_wide(self._routes, self.neutral))
        self._carried: Bools = np.zeros(self.neutral + 2, dtype=np.bool_)
        self._carried[self.route] = True
        """By link: some provider's route leads over it."""

    def reroute(self, provider: int, failed: frozenset[int]) -> I64:
        """Let one provider's routes avoid failed links, from the next window on.

        Returns:
            The rows whose route has changed.
        """
        if self._failed[provider] == failed:
            return np.zeros(0, dtype=np.int64)
        self._failed[provider] = failed
        before, self._routes[provider] = self._routes[provider], self._padded(provider, failed)
        self._join_routes()
        both = as_wide([before, self._routes[provider]], self.neutral)
        changed = hits((both[0] != both[1]).any(axis=1)) + self._first_segment[provider]
        rows = np.sort(self._rows_by_segment.of(changed))
        self._refold(rows)
        self.rerouted = True
        return rows

    def links_of(self, rows: I64) -> I32:
        """Return the links each row crosses now, shape (rows, width); see ``neutral``."""
        return np.concatenate(
            [self.up[rows, None], self.route[self.segment[rows]], self.down[rows, None]], axis=1
        )

    @property
    def neutral(self) -> int:
        """The padding link: it exists nowhere and does nothing."""
        return len(self.underlay.links.names)

    # ------------------------------------------------------------ rows by link

    def _index_rows(self) -> None:
        self._rows_by_up = Inverse(self.up)
        self._rows_by_down = Inverse(self.down)
        self._rows_by_segment = Inverse(self.segment)

    def rows_of(self, links: I64) -> I64:
        """Return the rows that cross any of some directed links now, sorted."""
        if not len(links):
            return links
        found = [self._rows_by_up.of(links), self._rows_by_down.of(links)]
        if self._carried[links].any():  # access links are in no provider's routes
            wanted = np.zeros(self.neutral + 2, dtype=np.bool_)
            wanted[links] = True
            crossing = np.logical_or.reduce(wanted[self.route], axis=1)
            found.append(self._rows_by_segment.of(hits(crossing)))
        return distinct(np.concatenate(found))

    # ------------------------------------------------------------ windows

    def begin(self, start_ns: int, end_ns: int) -> None:
        """Enter the window in which the next probes depart: :meth:`survey`, then :meth:`fold`."""
        self.survey(start_ns, end_ns)
        self.fold()

    def survey(self, start_ns: int, end_ns: int) -> I64:
        """Find the rows that are lively in the window that begins.

        A reflection may depart after the window ends, hence the horizon.

        Returns:
            Rows on which probes may meet something else than before, but for loss bursts.
        """
        self.start_ns, self.end_ns = start_ns, end_ns
        self.rerouted = False
        self.horizon_ns = horizon = end_ns + self._longest_ns() + 1
        self._find_bursts(start_ns, horizon)
        changing = self.effects.changing(start_ns, horizon)
        harmed = self._both_ways(self._muted(start_ns, horizon), self.rows_of(changing))
        squally = self._both_ways(self.rows_of(self._burst_links))
        self._is_lively[self.lively] = False
        self.lively = distinct(np.concatenate([harmed, squally]))
        self._is_lively[self.lively] = True
        # Bursts come and go, and what links do usually stays.
        self._unfolded.append(harmed)
        return np.concatenate(self._unfolded)

    def _both_ways(self, *parts: I64) -> I64:
        rows = np.concatenate(parts)
        return distinct(np.concatenate([rows, self.overlay.reverse[rows].astype(np.int64)]))

    def fold(self) -> None:
        """Fold the rows that were lively before the window and are no more, and changed ones."""
        rows = distinct(np.concatenate(self._unfolded))
        calm, lively = rows[~self._is_lively[rows]], rows[self._is_lively[rows]]
        self._unfolded = [lively]
        self.usual_since_ns[calm] = np.maximum(self.usual_since_ns[calm], self.start_ns)
        self.usual_since_ns[lively] = self.end_ns
        self._fold(calm)

    @property
    def longest_round_ns(self) -> int:
        """No round trip that is under way takes longer."""
        return 2 * self._longest_ns()

    def _longest_ns(self) -> int:
        """Return a bound on the delay of one way, for all packets that are under way.

        It never falls: a packet may still wait behind one that met a longer route or queue.
        """
        queues = int(self.congestion_delay_ns.max(initial=0)) * (self.route.shape[1] + 2)
        now_ns = self._access_ns + self._segment_ns + queues + self.effects.longest_delay_ns
        self._bound_ns = max(self._bound_ns, now_ns)
        return self._bound_ns

    def _longest_access_ns(self) -> int:
        links = self.underlay.links
        longest = links.delay_ns + links.jitter_ns
        ends = (links_of[links_of >= 0] for links_of in (self.underlay.up, self.underlay.down))
        return sum(int(longest[of].max(initial=0)) for of in ends)

    def _find_bursts(self, start_ns: int, end_ns: int) -> None:
        self.bad = self._bursts.bad(start_ns, end_ns)
        self._burst_links = distinct(self.bad.link)
        # The last place is that of -1, no route: black. The padding before it does nothing.
        self._special[:-1] = False
        self.touched_links = self.effects.touched(start_ns, end_ns)
        self._special[self.touched_links] = True
        self._special[self._burst_links] = True

    def bad_periods(self, start_ns: int, end_ns: int) -> Bad:
        """Return the loss bursts of links within [start, end), which is not much of a span."""
        return self._bursts.bad(start_ns, end_ns)

    @property
    def survive_ppm(self) -> I64:
        """What survives on each row while no burst and no fault is there; the array itself."""
        return self._usual.survive_ppm

    def _muted(self, start_ns: int, end_ns: int) -> I64:
        """Return the rows that are mute in some part of the window."""
        mute = self.mutes
        return mute.row[(mute.from_ns < end_ns) & (mute.until_ns >= start_ns)]

    def _refold(self, rows: I64) -> None:
        self.before_change(rows)
        for part in _parts(rows):
            self._usual.lay(part, self.links_of(part))
        self._unfolded.append(rows)

    def _fold(self, rows: I64) -> None:
        for part in _parts(rows):
            passage = self.passage(part, np.full(len(part), self.start_ns, dtype=np.int64))
            limit, back = threshold(passage.loss_ppm), self.overlay.reverse[part]
            self.delay_ns[part] = self.delay_back_ns[back] = passage.delay_ns
            self.jitter_ns[part] = self.jitter_back_ns[back] = passage.jitter_ns
            self.limit[part] = self.limit_back[back] = limit
            self._is_odd[part] = (
                (passage.mtu < _COMMON_MTU)
                | (passage.duplicate_ppm > 0)
                | (passage.reorder_ppm > 0)
            )

    def congest(self, delay_ns: I64, loss_ppm: I64) -> None:
        """Set what congestion adds on each directed link, from the next window on."""
        same = (delay_ns == self.congestion_delay_ns) & (loss_ppm == self.congestion_loss_ppm)
        changed = hits(~same)
        if len(changed):
            self.congestion_delay_ns, self.congestion_loss_ppm = delay_ns, loss_ppm
            self._usual.congest(delay_ns, loss_ppm)
            self._refold(self.rows_of(changed))

    def overloaded(self, row: int) -> bool:
        """Tell whether a link under a tunnel drops packets for want of capacity."""
        links = self.links_of(np.array([row], dtype=np.int64))[0]
        real = links[(links >= 0) & (links != self.neutral)]
        return bool(self.congestion_loss_ppm[real].any())

    # ------------------------------------------------------------ probes

    def word(self, rows: slice | I64, ordinal: int) -> U64:
        """Return the luck of a probe a row; one word serves both ways."""
        return words(self.words[rows], ordinal)

    def outward(self, rows: slice | I64, sent_ns: I64, word: U64, there: I64) -> None:
        """Write when a probe a row arrives at the peer, ``NEVER`` where it is lost."""
        np.add(noise_ns(noise_out(word), self.jitter_ns[rows]), self.delay_ns[rows], out=there)
        there += sent_ns
        lost = hit(loss_out(word), self.limit[rows])
        lively = hits(self._is_lively[rows])
        if len(lively):
            row = lively + rows.start if isinstance(rows, slice) else rows[lively]
            out = self.passage(row, sent_ns[lively])
            noise = noise_ns(noise_out(word[lively]), out.jitter_ns)
            there[lively] = sent_ns[lively] + out.delay_ns + noise
            lost[lively] = hit(loss_out(word[lively]), threshold(out.loss_ppm))
        there[lost] = NEVER

    def homeward(self, rows: slice | I64, there: I64, word: U64, back: I64) -> None:
        """Write when the reflection of each probe is back, ``NEVER`` where it is lost."""
        lost = there == NEVER
        np.add(noise_ns(noise_back(word), self.jitter_back_ns[rows]), there, out=back)
        back += self.delay_back_ns[rows]
        gone = hit(loss_back(word), self.limit_back[rows])
        lively = hits(self._is_lively[rows] & ~lost)
        if len(lively):
            row = lively + rows.start if isinstance(rows, slice) else rows[lively]
            home = self.passage(self.overlay.reverse[row].astype(np.int64), there[lively])
            noise = noise_ns(noise_back(word[lively]), home.jitter_ns)
            back[lively] = there[lively] + home.delay_ns + noise
            gone[lively] = hit(loss_back(word[lively]), threshold(home.loss_ppm))
        gone |= lost
        back[gone] = NEVER

    @property
    def sky(self) -> Sky:
        """What decides about probes on all rows that are not lively."""
        out = self.delay_ns, self.jitter_ns, self.limit
        home = self.delay_back_ns, self.jitter_back_ns, self.limit_back
        return Sky(self.words, out, home, self._is_lively)

    def loss_ppm(self, rows: I64, at_ns: I64) -> I64:
        """Return the loss that packets meet one way."""
        loss = (self.limit[rows].astype(np.int64) * PPM) >> LOSS_BITS
        lively = hits(self._is_lively[rows])
        if len(lively):
            loss[lively] = self.passage(rows[lively], at_ns[lively]).loss_ppm
        return loss

    # ------------------------------------------------------------ packets of users

    def deliver(self, rows: I64, sent_ns: I64, word: U64, size: I64) -> tuple[I64, I64]:
        """Return when packets arrive (``NEVER``: lost) and how many copies of each.

        A packet's word is cut as a probe's: its outward fields decide loss and noise.
        """
        noise = noise_ns(noise_out(word), self.jitter_ns[rows])
        arrived = sent_ns + self.delay_ns[rows] + noise
        lost = hit(loss_out(word), self.limit[rows])
        copies = np.ones(len(rows), dtype=np.int64)
        at = hits(self._is_lively[rows] | self._is_odd[rows])
        if len(at):
            way, extra = self.passage(rows[at], sent_ns[at]), mix(word[at])
            held = hit(loss_out(extra), threshold(way.reorder_ppm))
            noise = noise_ns(noise_out(word[at]), way.jitter_ns)
            arrived[at] = sent_ns[at] + way.delay_ns + noise + held * way.reorder_ns
            lost[at] = hit(loss_out(word[at]), threshold(way.loss_ppm)) | (size[at] > way.mtu)
            copies[at] += hit(loss_back(extra), threshold(way.duplicate_ppm))
        arrived[lost], copies[lost] = NEVER, 0
        return arrived, copies

    def damaged(self, rows: I64, sent_ns: I64, word: U64) -> Bools:
        """Tell which packets reach the receiver, but damaged: they fail authentication.

        :meth:`deliver` counts them among the lost, as their users do.
        """
        way, intact = self.passage(rows, sent_ns), np.full(len(rows), PPM, dtype=np.int64)
        for link in self.links_of(rows).T:
            intact = intact * (PPM - self.effects.at(link, sent_ns).corrupt_ppm) // PPM
        reach = np.minimum((PPM - way.loss_ppm) * PPM // np.maximum(intact, 1), PPM)
        reach[intact == 0] = PPM
        field = loss_out(word)
        return hit(field, threshold(way.loss_ppm)) & ~hit(field, threshold(PPM - reach))

    # ------------------------------------------------------------ looking up

    def passage(self, rows: I64, at_ns: I64) -> Passage:
        """Return what packets that depart at given times meet; rows may repeat."""
        matrix = self.links_of(rows)
        way = self._usual.passage(rows)
        survive = way.loss_ppm
        special = self._special[matrix]
        for column in hits(np.logical_or.reduce(special, axis=0)).tolist():
            at = hits(special[:, column])
            self._harm(way, at, matrix[at, column], at_ns[at])
        if len(self.mutes.row):
            survive[self.mute_at(rows, at_ns)] = 0
        np.subtract(PPM, survive, out=survive)
        return way

    def _harm(self, way: Passage, at: I64, link: I32, at_ns: I64) -> None:
        """Let one link each do to some packets what is not usual there.

        ``loss_ppm`` holds what survives until the whole way is worked out.
        """
        state = self.effects.at(link, at_ns)
        survive = (
            way.loss_ppm[at]
            * (PPM - self.bad.loss_ppm(self.burst_ppm, link, at_ns, self.start_ns))
            // PPM
        )
        survive = survive * (PPM - state.loss_ppm) // PPM
        survive = survive * (PPM - state.corrupt_ppm) // PPM
        survive[state.blackhole | (link < 0)] = 0
        way.loss_ppm[at] = survive
        way.delay_ns[at] += state.delay_ns
        way.jitter_ns[at] += state.jitter_ns
        way.mtu[at] = np.minimum(way.mtu[at], state.mtu)
        for chance, more in (
            (way.duplicate_ppm, state.duplicate_ppm),
            (way.reorder_ppm, state.reorder_ppm),
        ):
            chance[at] += more - chance[at] * more // PPM
        way.reorder_ns[at] += state.reorder_ns

    def mute_at(self, rows: I64, at_ns: I64) -> Bools:
        """Return which packets meet a tunnel that changes its keys."""
        return self.mutes.at(rows, at_ns, (self.start_ns, self.horizon_ns))

    def link_loss_ppm(self, at_ns: int) -> I64:
        """Return what each directed link loses at an instant, congestion left out."""
        links = np.arange(self.neutral, dtype=np.int64)
        when = np.full(len(links), at_ns, dtype=np.int64)
        state = self.effects.at(links, when)
        survive = PPM - self.underlay.links.loss_ppm
        survive = (
            survive * (PPM - self.bad.loss_ppm(self.burst_ppm, links, when, self.start_ns)) // PPM
        )
        survive = survive * (PPM - state.loss_ppm) // PPM
        survive[state.blackhole] = 0
        loss: I64 = PPM - survive
        return loss


def _nobody_minds(rows: I64) -> None:
    """Stand for who minds that rows change."""


def _parts(rows: I64) -> list[I64]:
    """Cut rows such that the links of each part take little memory."""
    return np.array_split(rows, len(rows) // 65536 + 1) if len(rows) else []
