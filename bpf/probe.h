/* What happens to a probe that arrived in a tunnel. */
#pragma once

#include "liveness.h"

/* Stamp a probe's arrival and answer it.
 *
 * at: offset of the test packet behind the overlay header. Nothing reflects yet: probes go to
 * user space, and their numbers and H bits count like those of any packet.
 */
INLINE int probe_received(const struct work *work, struct tunnel *tunnel, __u32 row, __u32 at,
			  const struct overlay *overlay)
{
	arrive(work, tunnel, bpf_ntohl(overlay->sequence), overlay->flags & OVERLAY_HEARS,
	       overlay->segments, 0);
	return pass(work, PROBE_PASSED);
}
