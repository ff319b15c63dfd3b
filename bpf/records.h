/* Records shared by programs and user space; dataplane/linux/records.py mirrors them.
 *
 * Rows are local: the tunnels of this site, from 0. Times are CLOCK_MONOTONIC. Where a row
 * is kept in 16 bits beside zeroed memory, it is kept as row + 1, so that 0 means none.
 */
#pragma once

#include <linux/types.h>

#define LINE 64
#define WORDS __attribute__((aligned(8))) /* copied by words, not by bytes */

/* Where frames go next, as it was found a moment ago; bpf/hop.h. */
struct hop {
	__s64 until_ns; /* so long the rest is believed; HOP_BUSY: it is being written */
	__u8 hosts[12]; /* the neighbour's address and ours, as Ethernet has them; zero: none */
	__u32 ifindex;
};

/* One tunnel, to a peer and back. Lines are apart by who writes them. */
struct tunnel {
	/* Line 0: the packet-time rule, written for every packet that arrives. */
	__s64 heard_ns;
	__s64 confirmed_ns;
	__s64 since_ns;     /* start of the unbroken confirmation, NEVER while silent */
	__s64 detect_ns;
	__s64 sequence;     /* newest number received, -1 before the first */
	__u64 session_in;   /* what the peer must show */
	__u8 latched;
	__u8 kind;          /* enum kind */
	__u16 flags;        /* enum tunnel_flag */
	__u32 got;          /* packets that came under the newest number */
	__u64 restarts;     /* numberings begun afresh, after silence */

	/* Line 1: the receiver's account. */
	__u64 rx_gap;       /* numbers passed over; those that were late come off again: */
	__u64 rx_late;
	__u64 rx_duplicate;
	__u64 rx_packets[BUCKETS]; /* by size of the inner packet, see bucket_of() */
	__u64 line_1_spare;

	/* Line 2: the sender's account. */
	__u64 tx_sequence;  /* next number; its low 32 bits travel */
	__u64 tx_packets[BUCKETS];
	struct hop hop;

	/* Line 3: what to put on. Addresses: IPv4 in the first four bytes. */
	__u8 local[16];
	__u8 remote[16];
	__u64 session_out;
	__u32 ifindex;      /* device to send on, 0: the routing table decides */
	__u32 mark;         /* on the outer packet; selects the transport's table */
	__be16 local_port;
	__be16 remote_port;
	__u16 peer_id;      /* the tunnel's row at the peer */
	__u16 mtu;          /* largest inner packet that fits */
	__u32 ifindex_twin; /* WireGuard: the device of the second key, while keys rotate */
	__u8 twins;         /* enum twin; one store changes device and addresses at once */
	__u8 line_3_spare[3];

	/* Line 4: what the engine tells. */
	__s64 delay_ns;       /* one way, as the engine estimates it */
	__s64 drain_until_ns; /* 0: not draining */
	__u32 peer_site;
	__u32 transport;
	__u32 drained;        /* by us: the peer is told */
	__u32 line_4_zero;
	__u64 line_4_spare[4];

	/* Lines 5 to 7: probes; named by bpf/probe.h. */
	__u64 probe[24];
} __attribute__((aligned(LINE)));

/* The one row of general settings. */
struct settings {
	__u32 layout;
	__u32 flags;          /* enum setting */
	__s64 heartbeat_ns;   /* the agent was alive */
	__s64 stale_after_ns; /* without a heartbeat for longer, it is not */
	__s64 hold_ns;        /* unbroken confirmation after which a latch falls without it */
	__u32 rows;
	__u32 entries;        /* of one bank */
	__u32 classes;
	__u32 counter_stride; /* counters of one CPU */
	__u64 pinned_classes; /* one bit each */
	__s64 test_now_ns;    /* the clock of programs built for tests */

	__u64 bank_word;      /* generation << 1 | bank: one store switches the table */
	__u32 epoch;          /* of rules and prefixes; bit 0 is the bank of the rules */
	__u32 lan_ifindex;    /* where errors for packets in transit are handed in */
	__be16 port;          /* UDP, where overlay packets arrive */
	__u16 drain_slack_ms; /* a pinned flow moves at gaps longer than paths differ, plus this */
	__u8 router_v4[4];    /* source of ICMP errors */
	__u8 router_v6[16];
	__u32 mark;           /* of LAN packets in mode mark; the class is added */
	__u32 overlay_ifindex; /* where the kernel is handed what is its business; 0: as it came */
	__u32 ranges[2];      /* of IPv4 and IPv6: levels of the tree << 1 | bank */
	__s64 awake_until_ns; /* this end is known to run; engine/pauses.py */

	__u32 flow_key[12];   /* random: nobody shall know which flows share a set */
	__u32 flow_sets;      /* less one: the mask of a set's place */
	__u32 line_3_zero;
	__s64 pause_left_ns;  /* so much of a pause is excused */
} __attribute__((aligned(LINE)));

/* What an entry used last. A generation ahead of the table's says that a switch is coming. */
struct used {
	__u32 row; /* row + 1 */
	__u32 generation;
};

/* The way to a host of a LAN. */
struct lan_hop {
	__u8 source[16] WORDS; /* as in a flow's key */
	__u8 target[16] WORDS;
	struct hop hop;
	__u32 arrived_at;      /* the device that it came by */
	__u32 mtu;
} __attribute__((aligned(LINE)));

struct prefix4 {
	__u32 length;
	__u8 address[4];
};

struct prefix6 {
	__u32 length;
	__u8 address[16];
};

struct destination {
	__u32 index;
	__u32 flags; /* enum destination_flag */
};

/* Nodes of the trees of ranges, bpf/ranges.h. Only the first 64 bits of IPv6 count there. */
struct range4 {
	__u32 key[RANGE_KEYS4];
};

struct range6 {
	__u64 key[RANGE_KEYS6];
};

/* What the addresses of a range lead to, in each bank. */
struct range_place {
	__u32 bank[2];
};

/* Rules that a prefix satisfies, for each bank of the rules. */
struct rule_bits {
	__u64 bank[2];
};

/* IPv4 addresses stand in the first four bytes, the rest is zero. */
struct flow_key {
	__u8 source[16] WORDS;
	__u8 target[16] WORDS;
	__be16 source_port;
	__be16 target_port;
	__u8 protocol;
	__u8 family; /* 4 or 6 */
	__u16 zero;
};

/* A flow, in one cache line. bpf/table.h says who may write what, and when. */
struct flow {
	/* One word, changed as one: */
	__u16 sequence;    /* odd while the rest is written, 0: never used */
	__u16 row;         /* row + 1, where the flow is pinned */
	__u32 epoch;       /* of class and destination */
	/* One word, read as one: */
	__u16 destination;
	__u8 class;        /* with FLOW_ASTRAY and FLOW_SIX */
	__u8 rule;         /* RULES_MAX: none matched; with enum flow_flag */

	__u32 last;        /* time >> FLOW_TICK */
	__u8 source[16];   /* up to the protocol as in the key */
	__u8 target[16];
	__be16 source_port;
	__be16 target_port;
	__u8 protocol;
	__u8 fetched;      /* written before it is known whose record it is; means nothing */
	__u16 bytes_high;  /* 48 bits in all */
	__u32 bytes_low;
	__u32 packets;     /* modulo 2^32 */
} __attribute__((aligned(LINE)));

/* The flows that one hash leads to. */
struct flow_set {
	struct flow way[FLOW_WAYS];
};

struct fragment_key {
	__u8 source[16];
	__u8 target[16];
	__u32 id;
	__u8 protocol;
	__u8 family;
	__u16 zero;
};

/* The ports of a datagram's first fragment: the others are looked up with them. */
struct fragment {
	__be16 source_port;
	__be16 target_port;
	__u32 zero;
};

struct count {
	__u64 packets;
	__u64 bytes;
};

/* A move that the kernel made by itself. */
struct move {
	__u64 ready; /* place in the ring + 1, written last */
	__u64 number;
	__s64 at_ns;
	__u32 entry;
	__s32 from_row; /* -1: none */
	__s32 to_row;
	__u32 zero;
};

struct ring {
	__u64 next; /* numbers given, to moves that were lost as well */
	__u64 head; /* moves written */
	__u64 tail; /* moves taken, by user space */
	__u64 lost;
	__u64 capacity;
};

/* On the wire, behind the outer UDP header; big endian.
 *
 * Packets that the kernel cut from one large one share a number: it names the first, and
 * `segments` how many there are, so that no number stays out. */
struct overlay {
	__u8 version_inner; /* OVERLAY_VERSION << 4 | enum inner */
	__u8 flags;
	__u8 class;
	__u8 segments;
	__be16 tunnel;      /* the receiver's row */
	__be16 destination; /* the sender's index */
	__be32 sequence;
	__be32 session[2];  /* high half first */
};
