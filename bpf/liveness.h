/* The packet-time rule: engine/fastpath.py, function by function. */
#pragma once

#include "count.h"

INLINE int fresh(__s64 stamp_ns, __s64 detect_ns, __s64 now_ns)
{
	return now_ns - stamp_ns <= detect_ns;
}

/* Return the time up to which silence counts; engine/pauses.py. */
INLINE __s64 listening_ns(const struct work *work)
{
	__s64 until_ns = work->settings->awake_until_ns;
	__s64 pause_ns = work->now_ns - until_ns;

	return pause_ns > 0 && pause_ns <= work->settings->pause_left_ns ? until_ns : work->now_ns;
}

/* Whether a stamp is fresh, this end's own pauses aside; mostly the clock alone tells. */
INLINE int proven(const struct work *work, __s64 stamp_ns, __s64 detect_ns)
{
	return fresh(stamp_ns, detect_ns, work->now_ns) ||
	       fresh(stamp_ns, detect_ns, listening_ns(work));
}

INLINE int newer(__u32 sequence, __s64 than)
{
	__u32 step = sequence - (__u32)than;

	return than < 0 || (step != 0 && step < 1U << 31);
}

/* Set the latch if the proof is stale; true if it is. */
INLINE int expire(const struct work *work, struct tunnel *tunnel)
{
	if (proven(work, tunnel->confirmed_ns, tunnel->detect_ns))
		return 0;
	if (!tunnel->latched || tunnel->since_ns != NEVER) {
		tunnel->latched = 1;
		tunnel->since_ns = NEVER;
		note(work, NOTE_EXPIRED);
	}
	return 1;
}

INLINE int agent_is_stale(const struct work *work)
{
	return work->now_ns - work->settings->heartbeat_ns > work->settings->stale_after_ns;
}

/* release() and usable() in one: clear the latch in the agent's place if that is due. */
INLINE int usable(const struct work *work, struct tunnel *tunnel)
{
	if (expire(work, tunnel))
		return 0;
	if (!tunnel->latched)
		return 1;
	if (tunnel->since_ns == NEVER || !agent_is_stale(work) ||
	    work->now_ns - tunnel->since_ns < work->settings->hold_ns)
		return 0;
	tunnel->latched = 0;
	note(work, NOTE_RELEASED);
	return 1;
}

INLINE int hears(const struct work *work, const struct tunnel *tunnel)
{
	return proven(work, tunnel->heard_ns, tunnel->detect_ns);
}

INLINE void confirm(const struct work *work, struct tunnel *tunnel)
{
	tunnel->confirmed_ns = work->now_ns;
	/* Silence ends with the latch set; said again, as the engine may have cleared it
	 * at the very instant of the expiry. */
	if (tunnel->since_ns == NEVER)
		tunnel->latched = 1;
	if (tunnel->since_ns > work->now_ns)
		tunnel->since_ns = work->now_ns;
}

INLINE void disprove(const struct work *work, struct tunnel *tunnel)
{
	/* Put back so far that it expires at this very instant. */
	__s64 gone_ns = listening_ns(work) - tunnel->detect_ns - 1;

	if (tunnel->confirmed_ns > gone_ns) {
		tunnel->confirmed_ns = gone_ns;
		note(work, NOTE_DISPROVED);
	}
	expire(work, tunnel);
}

/* Keep the account of numbers: what was passed over, what came late, what came twice. */
INLINE void account(struct tunnel *tunnel, __u32 sequence, __u32 pieces, __u32 of, int restarted)
{
	__u32 step = sequence - (__u32)tunnel->sequence;

	if (restarted || tunnel->sequence < 0) {
		tunnel->restarts++;
		tunnel->got = pieces;
	} else if (newer(sequence, tunnel->sequence)) {
		tunnel->rx_gap += step > tunnel->got ? step - tunnel->got : 0;
		tunnel->got = pieces;
	} else if (step == 0 && tunnel->got + pieces <= of) {
		tunnel->got += pieces;
	} else if (step == 0) {
		tunnel->rx_duplicate += pieces;
	} else {
		tunnel->rx_late += pieces;
	}
}

/* Stamp an authenticated packet.
 *
 * sequence, hear_us: as in its header; of: the segments that share its number;
 * reflection: it is our own probe, come back.
 */
INLINE void arrive(const struct work *work, struct tunnel *tunnel, __u32 sequence, int hear_us,
		   __u32 of, int reflection)
{
	int restarted, newest;

	expire(work, tunnel);
	restarted = !hears(work, tunnel);
	newest = restarted || newer(sequence, tunnel->sequence);
	account(tunnel, sequence, work->pieces, of, restarted);
	tunnel->heard_ns = work->now_ns;
	if (newest)
		tunnel->sequence = sequence;
	if (reflection || (newest && hear_us))
		confirm(work, tunnel);
	else if (newest)
		disprove(work, tunnel);
}
