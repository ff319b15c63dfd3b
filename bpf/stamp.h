/* STAMP test packets inside tunnels: RFC 8762 sections 4.2.1 and 4.3.1, RFC 8972 section 3.
 *
 * They stand behind the overlay header, whose class says which of the two they are. The
 * private TLV of dataplane/stamp/tlv.py is the only one, so the length is fixed.
 */
#pragma once

#include "liveness.h"
#include "wrap.h"

enum stamp_kind {
	STAMP_PROBE = 0,
	STAMP_REFLECTION = 1,
	STAMP_BAD = 2,
};

/* Z = 1, S = 0, multiplier 1: PTP's format of the monotonic clock (RFC 8186 section 2.3). */
#define STAMP_ERROR_ESTIMATE 0x4001
#define STAMP_TTL 255
#define SSID(row) bpf_htons((row) + 1) /* not zero (RFC 8972 section 3); the peer only echoes it */
#define TLV_FLAG_U 0x80
#define TLV_LIVENESS 252
#define LIVENESS_VERSION 1
#define LIVENESS_HEARS 0x80
#define LIVENESS_DRAINS 0x40  /* the sender moves its flows away from the tunnel, as planned */
#define LIVENESS_OVERDUE 0x20 /* ... and its deadline is over */
#define LIVENESS_NEVER 0xffffffffU
#define SECOND_NS 1000000000ULL

struct liveness_tlv {
	__u8 flags;
	__u8 type;
	__be16 length;
	__u8 hears;
	__u8 version;
	__be16 large_heard;
	__be32 sequence;
	__be32 session[2];
	__be32 heard_age_us;
	__be32 probes_sent;
	__be32 probes_told;
	__be32 probes_heard;
	__be32 data_sent;
	__be32 data_told;
	__be32 data_heard;
};

/* A probe is zero from received on. */
struct stamp {
	__be32 sequence;
	__be32 sent[2];
	__be16 error;
	__be16 ssid;
	__be32 received[2];
	__be32 sender_sequence;
	__be32 sender_sent[2];
	__be16 sender_error;
	__be16 zero;
	__u8 sender_ttl;
	__u8 zeroes[3];
	struct liveness_tlv liveness;
};

/* The share of a tunnel's record that belongs to probes; lines are apart by who writes them. */
struct probing {
	/* Line 5: the sender. */
	__u64 sent; /* the next one's number; its low 32 bits travel */
	__s64 sent_ns;
	__u64 skipped; /* times at which the pacer came too late */
	__u64 line_5_spare[5];

	/* Line 6: the receiver of the peer's packets. */
	__u64 heard;     /* probes of the peer */
	__u64 returned;  /* our own, come back; places of the ring given */
	__u64 refused;   /* test packets that were none */
	__s64 told_ns;   /* the newest test packet of the peer */
	__u64 in_data;   /* what it had sent << 32 | what we had heard of that */
	__u32 in_probes; /* probes that it had sent */
	__u32 peer_age_us;
	__u32 peer_drains; /* LIVENESS_DRAINS, LIVENESS_OVERDUE */
	__u32 line_6_zero;
	__u64 line_6_spare;

	/* Line 7: what that packet told of the way out, told << 32 | heard. */
	__u64 out_probes;
	__u64 out_data;
	__u64 out_large; /* what we had sent << 32 | 16 bits of what it had heard */
	__u64 line_7_spare[5];
};

/* A probe that came back. Times are CLOCK_MONOTONIC, of us or of the peer. */
struct sample {
	__u64 ready; /* its number + 1, written last */
	__s64 sent_ns;
	__s64 received_ns;  /* by the peer's clock, as the next */
	__s64 reflected_ns;
	__s64 arrived_ns;
	__u32 sequence;
	__u32 heard;
	__u64 out_data; /* as in struct probing */
	__u32 hops;
	__u32 zero;
};

#define SAMPLES 32 /* of one tunnel; a power of two */

BPF_F_TABLE("array", u32, struct sample, samples, 16 * SAMPLES, BPF_F_MMAPABLE);

INLINE struct probing *probing_of(struct tunnel *tunnel)
{
	return (struct probing *)tunnel->probe;
}

INLINE void put_time(__be32 *to, __s64 time_ns)
{
	to[0] = bpf_htonl((__u64)time_ns / SECOND_NS);
	to[1] = bpf_htonl((__u64)time_ns % SECOND_NS);
}

INLINE __s64 time_of(const __be32 *from)
{
	return bpf_ntohl(from[0]) * SECOND_NS + bpf_ntohl(from[1]);
}

INLINE __u64 pair(__be32 told, __be32 heard)
{
	return (__u64)bpf_ntohl(told) << 32 | bpf_ntohl(heard);
}

INLINE __u32 packets_of(const __u64 *buckets)
{
	return buckets[0] + buckets[1] + buckets[2] + buckets[3];
}

INLINE __u32 heard_age_us(const struct work *work, const struct tunnel *tunnel)
{
	__u64 age_us = (__u64)(work->now_ns - tunnel->heard_ns) / 1000;

	return age_us < LIVENESS_NEVER ? age_us : LIVENESS_NEVER;
}

INLINE __u8 liveness_flags(const struct work *work, const struct tunnel *tunnel)
{
	__u8 flags = hears(work, tunnel) ? LIVENESS_HEARS : 0;

	if (!tunnel->drained)
		return flags;
	return flags | LIVENESS_DRAINS |
	       (work->now_ns >= tunnel->drain_until_ns ? LIVENESS_OVERDUE : 0);
}

/* Say how things stand in a packet of ours; its number is that of the overlay header. */
INLINE void put_liveness(const struct work *work, struct tunnel *tunnel, __u32 sequence,
			 struct liveness_tlv *tlv)
{
	struct probing *probing = probing_of(tunnel);

	tlv->type = TLV_LIVENESS;
	tlv->length = bpf_htons(sizeof(*tlv) - 4);
	tlv->hears = liveness_flags(work, tunnel);
	tlv->version = LIVENESS_VERSION;
	tlv->large_heard = bpf_htons(tunnel->rx_packets[BUCKETS - 1]);
	tlv->sequence = bpf_htonl(sequence);
	tlv->session[0] = bpf_htonl(tunnel->session_out >> 32);
	tlv->session[1] = bpf_htonl(tunnel->session_out);
	tlv->heard_age_us = bpf_htonl(heard_age_us(work, tunnel));
	tlv->probes_sent = bpf_htonl(probing->sent);
	tlv->probes_told = bpf_htonl(probing->in_probes);
	tlv->probes_heard = bpf_htonl(probing->heard);
	tlv->data_sent = bpf_htonl(packets_of(tunnel->tx_packets));
	tlv->data_told = bpf_htonl(probing->in_data >> 32);
	tlv->data_heard = bpf_htonl(probing->in_data);
}

/* Fill in the overlay header of a test packet; returns its number. */
INLINE __u32 put_overlay(const struct work *work, struct tunnel *tunnel, enum stamp_kind kind,
			 struct overlay *overlay)
{
	__u32 sequence = __sync_fetch_and_add(&tunnel->tx_sequence, 1);

	overlay->flags = 0;
	fill_overlay(work, tunnel, sequence, INNER_STAMP, overlay, overlay);
	overlay->class = kind;
	overlay->destination = 0;
	return sequence;
}
