/* What every program stands on: the kernel's headers, its clock, helpers that bcc 0.26
 * declares too narrowly, and the state that one packet carries through the functions. */
#pragma once

#include <uapi/linux/bpf.h>
#include <uapi/linux/if_ether.h>
#include <uapi/linux/in.h>
#include <uapi/linux/ip.h>
#include <uapi/linux/ipv6.h>
#include <uapi/linux/pkt_cls.h>
#include <uapi/linux/tcp.h>
#include <uapi/linux/udp.h>

#include "consts.h"
#include "records.h"
#include "maps.h"

#define INLINE static __always_inline
#define barrier_() asm volatile("" ::: "memory") /* to the compiler alone */

/* Younger than the headers that bcc may find. */
#define FIB_LOOKUP_OUTPUT (1U << 1)
#define FIB_LOOKUP_SKIP_NEIGH (1U << 2)
#define FIB_LOOKUP_MARK (1U << 5)
#define ROOM_FIXED_GSO (1ULL << 0)
#define ROOM_ENCAP_IPV4 (1ULL << 1)
#define ROOM_ENCAP_IPV6 (1ULL << 2)
#define ROOM_ENCAP_UDP (1ULL << 4)
#define ROOM_DECAP_IPV4 (1ULL << 7)
#define ROOM_DECAP_IPV6 (1ULL << 8)
#define ROOM_INNER_HEADER(bytes) ((__u64)(bytes) << 56)

static long (*redirect_neigh)(__u32 ifindex, void *params, int size, __u64 flags) = (void *)152;

/* How a packet came to us. */
enum origin {
	FROM_LAN,    /* ingress of a LAN device */
	FROM_KERNEL, /* egress of the overlay device: the kernel has routed it */
	FROM_TUNNEL,
};

/* One packet on its way. */
struct work {
	struct __sk_buff *skb;
	struct settings *settings;
	__s64 now_ns;
	__u32 base;    /* place of the counters of this CPU */
	__u32 length;  /* bytes of the frame as it came */
	__u32 pieces;  /* packets that a large one stands for */
	enum origin origin;
};

INLINE __s64 clock_ns(const struct settings *settings)
{
#ifdef TEST_CLOCK
	return settings->test_now_ns;
#else
	return bpf_ktime_get_ns();
#endif
}

INLINE struct settings *settings_of(void)
{
	__u32 zero = 0;
	struct settings *found = settings.lookup(&zero);

	return found && found->layout == LAYOUT ? found : NULL;
}

INLINE struct tunnel *tunnel_of(__u32 row)
{
	return tunnels.lookup(&row);
}
