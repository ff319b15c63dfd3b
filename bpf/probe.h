/* Receiving test packets: probes of the peer are reflected, our own are taken.
 *
 * A reflection of our own is proof by itself, so what a packet is must be known before its
 * arrival is stamped. Bytes that are no test packet prove nothing: no stamp moves.
 */
#pragma once

#include "stamp.h"

#define PROBE_AGE_MAX 1024 /* probes that may be under way, as in dataplane/stamp/session.py */

struct probe_frame {
	struct overlay overlay;
	struct stamp stamp;
};

INLINE struct probe_frame *probe_frame_at(struct __sk_buff *skb, __u32 at)
{
	struct probe_frame *frame = (void *)(long)skb->data + at;

	return (void *)(frame + 1) > (void *)(long)skb->data_end ? NULL : frame;
}

/* Tell what a test packet is, from the session already found to be right. */
INLINE enum stamp_kind probe_kind(const struct work *work, struct tunnel *tunnel, __u32 row,
				  __u32 at)
{
	struct probing *probing = probing_of(tunnel);
	struct probe_frame *frame;
	struct stamp *stamp;

	reach(work->skb, at + sizeof(*frame));
	frame = probe_frame_at(work->skb, at);
	if (!frame || at + sizeof(*frame) != work->skb->len)
		goto bad;
	stamp = &frame->stamp;
	if (stamp->liveness.type != TLV_LIVENESS || stamp->liveness.version != LIVENESS_VERSION ||
	    stamp->liveness.length != bpf_htons(sizeof(stamp->liveness) - 4) ||
	    stamp->error != bpf_htons(STAMP_ERROR_ESTIMATE) || frame->overlay.class >= STAMP_BAD)
		goto bad;
	if (frame->overlay.class == STAMP_PROBE)
		return STAMP_PROBE;
	/* Ours must be of this session and lately sent. */
	if (stamp->ssid == SSID(row) &&
	    (__u32)probing->sent - 1 - bpf_ntohl(stamp->sender_sequence) < PROBE_AGE_MAX &&
	    time_of(stamp->sender_sent) <= work->now_ns)
		return STAMP_REFLECTION;
bad:
	probing->refused++;
	return STAMP_BAD;
}

/* Keep what the newest test packet of the peer tells. */
INLINE void listen(const struct work *work, struct tunnel *tunnel, const struct liveness_tlv *tlv)
{
	struct probing *probing = probing_of(tunnel);

	/* The overlay's number has been taken: another one than the newest was overtaken. */
	if ((__u32)tunnel->sequence != bpf_ntohl(tlv->sequence))
		return;
	probing->told_ns = work->now_ns;
	probing->in_probes = bpf_ntohl(tlv->probes_sent);
	probing->in_data = (__u64)bpf_ntohl(tlv->data_sent) << 32 | packets_of(tunnel->rx_packets);
	probing->peer_age_us = bpf_ntohl(tlv->heard_age_us);
	probing->peer_drains = tlv->hears & (LIVENESS_DRAINS | LIVENESS_OVERDUE);
	probing->out_probes = pair(tlv->probes_told, tlv->probes_heard);
	probing->out_data = pair(tlv->data_told, tlv->data_heard);
	probing->out_large = tunnel->tx_packets[BUCKETS - 1] << 32 | bpf_ntohs(tlv->large_heard);
}

INLINE void keep_sample(const struct work *work, struct tunnel *tunnel, __u32 row,
			const struct stamp *stamp)
{
	__u64 number = __sync_fetch_and_add(&probing_of(tunnel)->returned, 1);
	__u32 place = row * SAMPLES + (number & (SAMPLES - 1));
	struct sample *sample = samples.lookup(&place);

	if (!sample)
		return;
	*(volatile __u64 *)&sample->ready = 0;
	sample->sent_ns = time_of(stamp->sender_sent);
	sample->received_ns = time_of(stamp->received);
	sample->reflected_ns = time_of(stamp->sent);
	sample->arrived_ns = work->now_ns;
	sample->sequence = bpf_ntohl(stamp->sender_sequence);
	sample->heard = bpf_ntohl(stamp->liveness.probes_heard);
	sample->out_data = pair(stamp->liveness.data_told, stamp->liveness.data_heard);
	sample->hops = STAMP_TTL - stamp->sender_ttl;
	/* The last store: a reader that sees it sees the others (x86 keeps their order). */
	*(volatile __u64 *)&sample->ready = number + 1;
}

INLINE void swap_bytes(void *left, void *right, void *scratch, int size)
{
	__builtin_memcpy(scratch, left, size);
	__builtin_memcpy(left, right, size);
	__builtin_memcpy(right, scratch, size);
}

/* Turn the outer headers round. Returns the TTL with which the probe came, 0 for options
 * that we do not send and so do not take. */
INLINE __u8 turn_ip(void *at, void *end, int six)
{
	__u8 scratch[16], ttl;
	struct ipv6hdr *ip6 = at;
	struct iphdr *ip = at;
	struct udphdr *udp;

	if (!six) {
		udp = (void *)(ip + 1);
		if ((void *)(udp + 1) > end || ip->ihl != 5)
			return 0;
		swap_bytes(&ip->saddr, &ip->daddr, scratch, 4);
		ttl = ip->ttl;
		ip->ttl = STAMP_TTL;
		ip->check = 0;
		ip->check = sum_ipv4(ip);
	} else {
		udp = (void *)(ip6 + 1);
		if ((void *)(udp + 1) > end || ip6->nexthdr != IPPROTO_UDP)
			return 0;
		swap_bytes(&ip6->saddr, &ip6->daddr, scratch, 16);
		ttl = ip6->hop_limit;
		ip6->hop_limit = STAMP_TTL;
	}
	swap_bytes(&udp->source, &udp->dest, scratch, 2);
	udp->check = 0; /* RFC 6935: the session in the header guards against misdelivery */
	return ttl;
}

INLINE void put_reflection(const struct work *work, struct tunnel *tunnel, __u8 ttl,
			   struct probe_frame *frame)
{
	struct stamp *stamp = &frame->stamp;
	__u32 sequence = put_overlay(work, tunnel, STAMP_REFLECTION, &frame->overlay);

	stamp->sender_sequence = stamp->sequence;
	stamp->sender_sent[0] = stamp->sent[0];
	stamp->sender_sent[1] = stamp->sent[1];
	stamp->sender_error = stamp->error;
	stamp->sender_ttl = ttl;
	/* Our own number counts what we reflected (RFC 8762 section 4.3). */
	stamp->sequence = bpf_htonl((__u32)probing_of(tunnel)->heard - 1);
	stamp->liveness.flags = 0;
	put_liveness(work, tunnel, sequence, &stamp->liveness);
	put_time(stamp->received, work->now_ns);
	put_time(stamp->sent, clock_ns(work->settings));
}

/* Send a probe back where it came from: over the link that it was to test. */
INLINE int reflect(const struct work *work, struct tunnel *tunnel, __u32 at)
{
	struct probe_frame *frame = probe_frame_at(work->skb, at);
	void *data = (void *)(long)work->skb->data, *end = (void *)(long)work->skb->data_end;
	int six = tunnel->flags & TUNNEL_IPV6;
	__u32 ip = at - (six ? sizeof(struct outer6) - sizeof(struct overlay)
			     : sizeof(struct outer4) - sizeof(struct overlay));
	struct ethhdr *ethernet = data;
	__u8 scratch[ETH_ALEN], ttl;

	if (!frame || data + ETH_HLEN > end || ip > ETH_HLEN)
		return drop(work, DROP_BAD_PROBE);
	ttl = turn_ip(data + ip, end, six);
	if (!ttl)
		return drop(work, DROP_BAD_PROBE);
	if (ip)
		swap_bytes(ethernet->h_source, ethernet->h_dest, scratch, ETH_ALEN);
	put_reflection(work, tunnel, ttl, frame);
	return finish(work, PROBE_REFLECTED, bpf_redirect(work->skb->ifindex, 0));
}

/* Stamp a test packet's arrival and answer it; at: its offset, behind the overlay header. */
INLINE int probe_received(const struct work *work, struct tunnel *tunnel, __u32 row, __u32 at,
			  const struct overlay *overlay)
{
	enum stamp_kind kind = probe_kind(work, tunnel, row, at - sizeof(*overlay));
	struct probe_frame *frame;

	if (kind == STAMP_BAD)
		return drop(work, DROP_BAD_PROBE);
	arrive(work, tunnel, bpf_ntohl(overlay->sequence), overlay->flags & OVERLAY_HEARS,
	       overlay->segments, kind == STAMP_REFLECTION);
	frame = probe_frame_at(work->skb, at - sizeof(*overlay));
	if (!frame)
		return drop(work, DROP_BAD_PROBE);
	probing_of(tunnel)->heard += kind == STAMP_PROBE;
	listen(work, tunnel, &frame->stamp.liveness);
	if (kind == STAMP_PROBE)
		return reflect(work, tunnel, at - sizeof(*overlay));
	keep_sample(work, tunnel, row, &frame->stamp);
	return drop(work, PROBE_RETURNED);
}
