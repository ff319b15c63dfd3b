/* Numbers that the kernel's programs and dataplane/linux/records.py agree on.
 *
 * The enumerations are mirrored there by name and value; a test compares the two.
 */
#pragma once

/* Layout of everything pinned. It grows with every change of a record, a map or a number
 * that user space relies on; programs and agent of different layouts never meet. */
#define LAYOUT 4

#define LONG_AGO (-(1LL << 62)) /* as engine/units.py */
#define NEVER 0x7fffffffffffffffLL

#define CANDIDATES 3
#define CLASSES_MAX 64
#define RULES_MAX 64
#define BUCKETS 4 /* of sizes of inner packets: up to 128, 512, 1024 bytes, and above */

/* Mark of an error message that a tunnel's program hands in at the LAN. */
#define MARK_HANDED_IN 0x50415452

/* Overlay header */
#define OVERLAY_VERSION 1
#define OVERLAY_HEARS 0x80  /* the H bit: the sender hears the receiver */
#define OVERLAY_BUDGET 0x01 /* may still pass one more site */

/* What follows the overlay header */
enum inner {
	INNER_STAMP = 1, /* RFC 8762 test packet */
	INNER_IPV4 = 4,
	INNER_IPV6 = 6,
};

/* struct settings: flags */
enum setting {
	SETTING_MARK = 1 << 0,    /* LAN ingress classifies and marks; the kernel forwards */
	SETTING_DELIVER = 1 << 1, /* decapsulated packets are redirected, past the firewall */
};

/* struct tunnel: kind and flags */
enum kind {
	KIND_PLAIN = 0,
	KIND_VXLAN = 1,
	KIND_WIREGUARD = 2,
};

enum tunnel_flag {
	TUNNEL_IN_USE = 1 << 0,
	TUNNEL_IPV6 = 1 << 1, /* the outer addresses are IPv6 */
};

/* struct tunnel: while WireGuard keys rotate, either end has two keys, each with a device of its
 * own and an address inside that differs from the other in the last bit. */
enum twin {
	TWIN_OWN = 1 << 0,  /* we send from our second one */
	TWIN_PEER = 1 << 1, /* and to the peer's second one */
};

/* Flows: their table is made of sets, whose ways are searched one after the other. */
#define FLOW_WAYS 8
#define FLOW_TICK 16 /* times of flows are kept in units of 2^16 ns, which wrap in 78 hours */

/* struct flow: flags, beside the rule */
enum flow_flag {
	FLOW_FOLLOWS = 1 << 7, /* begun by the peer: it takes the tunnel that the peer takes */
};
/* Beside the class, of which there are no more than 64: */
#define FLOW_ASTRAY (1 << 6) /* it left the peer's tunnel unled */
#define FLOW_SIX (1 << 7)    /* the addresses are IPv6 */

#define LAN_HOPS 1024 /* ways to hosts of LANs that are remembered, a power of two */

/* struct destination: flags */
enum destination_flag {
	DESTINATION_LOCAL = 1 << 0, /* behind this site */
};

/* Destinations as ranges of addresses keep them: index + 1, 0 for none, and flags */
#define RANGE_INDEX 0x1ffff
enum range_flag {
	RANGE_LOCAL = 1 << 30,  /* as DESTINATION_LOCAL */
	RANGE_DEEPER = 1U << 31, /* prefixes longer than its addresses: ask the trie */
};
#define RANGE_KEYS4 16
#define RANGE_KEYS6 8
#define RANGE_LEVELS 7

/* Entry words: flags */
enum entry_flag {
	ENTRY_DROP = 1 << 0,
	ENTRY_SHARED_FATE = 1 << 1,
	ENTRY_DIRECT = 1 << 2, /* candidate 0 ends at the destination; 1 << 3, 1 << 4 the others */
};
#define ENTRY_SHARE_1 8  /* bits 8-11: sixteenths of the flows that prefer the first backup */
#define ENTRY_SHARE_2 12 /* bits 12-15: those that prefer the second one */

/* Places of a bank of the class rules, in words of 64 bits, one bit a rule */
enum rule_place {
	RULES_DSCP = 0,
	RULES_PROTOCOL = 64,
	RULES_FOUND = 320,   /* rule << 8 | class, where a rule's bit times RULES_SEQUENCE says */
	RULES_ANY_TARGET = 384, /* rules that name no prefix */
	RULES_DEFAULT = 385,    /* RULES_MAX << 8 | the class of what no rule matches */
	RULES_ANY_PORT = 386,   /* rules that name no port */
	RULES_SOURCE_PORT = 512,
	RULES_TARGET_PORT = 512 + 65536,
	RULES_BANK = 512 + 2 * 65536,
};

/* A de Bruijn sequence: its top six bits differ whichever bit it is multiplied by. */
#define RULES_SEQUENCE 0x03f79d71b4cb0a89ULL

/* Places of one CPU's counters */
enum counter_place {
	COUNT_OUTCOME = 0,
	COUNT_NOTE = 64,
	COUNT_CLASS = 128,
	COUNT_RULE = 192, /* RULES_MAX of them, then one for packets that no rule matches */
	COUNT_TUNNEL = 320, /* two each: sent, received */
};

/* What became of a packet; every one of them is counted exactly once.
 * pass: untouched, to the kernel. drop: gone. The others say where it went. */
enum outcome {
	/* steering, as Counter of engine/fastpath.py */
	STEER_PRIMARY = 0,
	STEER_BACKUP = 1,
	STEER_ALL_DEAD = 2,
	DROP_ALL_DEAD = 3,
	DROP_NO_PATH = 4,
	/* steering of flows */
	STEER_PINNED = 5,
	STEER_SHARED = 6,
	/* what steering leaves alone */
	PASS_NOT_IP = 7,
	PASS_MULTICAST = 8,
	PASS_LOCAL = 9,
	PASS_NO_DESTINATION = 10,
	PASS_MALFORMED = 11,
	PASS_TO_FRAGMENT = 12, /* too big and may be fragmented: the kernel does it */
	PASS_MARKED = 13,
	/* errors told to the sender */
	REPLY_TIME_EXCEEDED = 14,
	REPLY_TOO_BIG = 15,
	/* what cannot go on */
	DROP_TIME_EXCEEDED = 16, /* of a packet that may not be answered */
	DROP_TOO_BIG = 17,
	DROP_NO_ROUTE = 18,
	DROP_NO_ROOM = 19,
	PASS_NOT_READY = 20, /* nobody has set the maps up */
	/* tunnel side */
	PASS_NOT_OVERLAY = 21,
	DROP_BAD_HEADER = 22,
	DROP_BAD_TUNNEL = 23,
	DROP_BAD_ADDRESS = 24,
	DROP_BAD_SESSION = 25,
	DROP_BAD_INNER = 26,
	DELIVER_STACK = 27,
	DELIVER_LAN = 28,
	TRANSIT = 29,
	TRANSIT_ALL_DEAD = 30,
	TRANSIT_NO_DIRECT = 31,
	TRANSIT_NO_BUDGET = 32,
	TRANSIT_NO_DESTINATION = 33,
	/* probes */
	PROBE_PASSED = 34,
	PROBE_REFLECTED = 35,
	PROBE_RETURNED = 36,
	DROP_BAD_PROBE = 37,
	PASS_OTHER_HOST = 38,
	OUTCOMES = 39,
};

/* What else happened to a packet */
enum note {
	NOTE_EXPIRED = 0,  /* a latch set by silence */
	NOTE_RELEASED = 1, /* a latch cleared in the agent's place */
	NOTE_MOVED = 2,
	NOTE_MOVE_LOST = 3, /* no room in the ring */
	NOTE_FLOW_NEW = 4,
	NOTE_FLOW_FULL = 5, /* another CPU was writing where this one wanted to */
	NOTE_PIN_MOVED = 6,   /* a pinned flow left its dead tunnel */
	NOTE_DRAINED = 7,     /* a pinned flow moved where that reorders nothing */
	NOTE_DRAIN_FORCED = 8, /* ... or because the deadline came */
	NOTE_RETURN_PINNED = 9,
	NOTE_FRAGMENT_FOLLOWED = 10,
	NOTE_FRAGMENT_ORPHAN = 11, /* its first one is not known */
	NOTE_MSS_CLAMPED = 12,
	NOTE_DISPROVED = 13, /* the peer said that it does not hear us */
	NOTE_FLOW_EVICTED = 14, /* the longest idle one of a full set, for a new one */
	NOTE_ERROR_LIMITED = 15, /* an ICMP error that was not sent: there were too many */
	NOTES = 16,
};
