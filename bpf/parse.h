/* Parsing with a cursor: take() moves on, or says that the packet ends before. */
#pragma once

#include "base.h"

#define NEXT_HOPOPTS 0
#define NEXT_ROUTING 43
#define NEXT_FRAGMENT 44
#define NEXT_ICMPV6 58
#define NEXT_DSTOPTS 60
#define EXTENSIONS_MAX 4 /* headers before the transport's; packets with more are rare */

#define IP_MORE 0x2000
#define IP_DONT 0x4000
#define IP_OFFSET 0x1fff

struct cursor {
	void *at;
	void *end;
};

struct fragment_header {
	__u8 next;
	__u8 zero;
	__be16 offset; /* in units of 8 bytes << 3, and 1 for more */
	__be32 id;
};

/* What we know of an IP packet; offsets are from the start of the frame. */
struct packet {
	struct flow_key key;
	__u32 fragment_id;
	__u16 size;        /* of the IP packet as its header says, 0: too large to say */
	__u16 ip;          /* offset of the IP header */
	__u16 transport;   /* offset of what follows it */
	__u8 tos;
	__u8 ttl;
	__u8 may_fragment; /* IPv4 without DF */
	__u8 first;        /* the first fragment of several */
	__u8 later;        /* another one */
	__u8 syn;
	__u8 tcp_words;    /* length of the TCP header */
	__u8 icmp_error;
};

/* Where packets are described, one for each CPU. Not on the stack: the verifier would follow
 * every way through the parser separately to the very end. */
BPF_PERCPU_ARRAY(scratch, struct packet, 1);

INLINE struct packet *blank_packet(void)
{
	__u32 zero = 0;
	struct packet *packet = scratch.lookup(&zero);

	if (packet)
		__builtin_memset(packet, 0, sizeof(*packet));
	return packet;
}

INLINE struct cursor cursor_at(const struct __sk_buff *skb, __u32 offset)
{
	struct cursor cursor = {
		.at = (void *)(long)skb->data + offset,
		.end = (void *)(long)skb->data_end,
	};

	return cursor;
}

INLINE void *take(struct cursor *cursor, __u32 size)
{
	void *at = cursor->at;

	if (at + size > cursor->end)
		return NULL;
	cursor->at = at + size;
	return at;
}

/* Make the first bytes readable in place where the driver left them in pages. */
INLINE void reach(struct __sk_buff *skb, __u32 bytes)
{
	__u32 here = skb->data_end - skb->data;

	if (here < bytes && here < skb->len)
		bpf_skb_pull_data(skb, bytes < skb->len ? bytes : skb->len);
}

/* Addresses are copied by words: byte by byte they take longer than a search for a flow, and
 * a processor waits when it reads as a word what it has just written as bytes. */
INLINE void copy_address6(__u8 *to, const void *from)
{
	__u64 *words = (__u64 *)to;

	words[0] = ((const __u64 *)from)[0];
	words[1] = ((const __u64 *)from)[1];
}

INLINE void copy_address4(__u8 *to, const void *from)
{
	__u64 *words = (__u64 *)to;

	words[0] = *(const __u32 *)from;
	words[1] = 0;
}

/* Both at once, as the search for a flow reads them. */
INLINE void copy_ports(struct flow_key *key, const void *from)
{
	*(__u32 *)&key->source_port = *(const __u32 *)from;
}

INLINE int same_address(const __u8 *one, const __u8 *other)
{
	const __u64 *a = (const __u64 *)one, *b = (const __u64 *)other;

	return a[0] == b[0] && a[1] == b[1];
}

INLINE int parse_ports(struct cursor cursor, struct packet *packet)
{
	struct udphdr *ports;
	struct tcphdr *tcp;

	switch (packet->key.protocol) {
	case IPPROTO_TCP:
		tcp = take(&cursor, sizeof(*tcp));
		if (!tcp)
			return 0;
		packet->syn = tcp->syn;
		packet->tcp_words = tcp->doff;
		copy_ports(&packet->key, tcp);
		return 1;
	case IPPROTO_UDP:
		ports = take(&cursor, sizeof(*ports));
		if (!ports)
			return 0;
		copy_ports(&packet->key, ports);
		return 1;
	}
	return 1;
}

/* ICMP errors must not be answered by errors (RFC 1122 section 3.2.2, RFC 4443 section 2.4). */
INLINE void parse_icmp(struct cursor cursor, struct packet *packet)
{
	__u8 *type = take(&cursor, 1);

	if (!type)
		return;
	if (packet->key.protocol == IPPROTO_ICMP)
		packet->icmp_error = (*type >= 3 && *type <= 5) || *type == 11 || *type == 12;
	else if (packet->key.protocol == NEXT_ICMPV6)
		packet->icmp_error = *type < 128;
}

INLINE int parse_ipv4(struct cursor cursor, struct packet *packet)
{
	struct iphdr *ip = take(&cursor, sizeof(*ip));
	__u16 offset;

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return 0;
	offset = bpf_ntohs(ip->frag_off);
	packet->key.family = 4;
	packet->key.protocol = ip->protocol;
	copy_address4(packet->key.source, &ip->saddr);
	copy_address4(packet->key.target, &ip->daddr);
	packet->tos = ip->tos;
	packet->ttl = ip->ttl;
	packet->size = bpf_ntohs(ip->tot_len);
	packet->transport = packet->ip + ip->ihl * 4;
	packet->may_fragment = !(offset & IP_DONT);
	packet->later = !!(offset & IP_OFFSET);
	packet->first = !packet->later && (offset & IP_MORE);
	packet->fragment_id = ip->id;
	cursor.at = (void *)ip + ip->ihl * 4;
	parse_icmp(cursor, packet);
	return packet->later || parse_ports(cursor, packet);
}

/* Walk over the extension headers; returns 0 where the packet ends amid them. */
INLINE int parse_extensions(struct cursor *cursor, struct packet *packet)
{
	struct fragment_header *header;
	__u8 next = packet->key.protocol;

#pragma unroll
	for (int i = 0; i < EXTENSIONS_MAX; i++) {
		if (next != NEXT_HOPOPTS && next != NEXT_ROUTING &&
		    next != NEXT_DSTOPTS && next != NEXT_FRAGMENT)
			break;
		header = take(cursor, sizeof(*header));
		if (!header)
			return 0;
		packet->transport += sizeof(*header);
		if (next == NEXT_FRAGMENT) {
			__u16 offset = bpf_ntohs(header->offset);

			packet->later = !!(offset & 0xfff8);
			packet->first = !packet->later && (offset & 1);
			packet->fragment_id = header->id;
		} else {
			__u32 more = ((__u8 *)header)[1] * 8;

			packet->transport += more;
			cursor->at += more;
		}
		next = header->next;
	}
	packet->key.protocol = next;
	return 1;
}

INLINE int parse_ipv6(struct cursor cursor, struct packet *packet)
{
	struct ipv6hdr *ip = take(&cursor, sizeof(*ip));

	if (!ip || ip->version != 6)
		return 0;
	packet->key.family = 6;
	packet->key.protocol = ip->nexthdr;
	copy_address6(packet->key.source, &ip->saddr);
	copy_address6(packet->key.target, &ip->daddr);
	packet->tos = ip->priority << 4 | ip->flow_lbl[0] >> 4;
	packet->ttl = ip->hop_limit;
	packet->size = ip->payload_len ? bpf_ntohs(ip->payload_len) + sizeof(*ip) : 0;
	packet->transport = packet->ip + sizeof(*ip);
	if (!parse_extensions(&cursor, packet))
		return 0;
	parse_icmp(cursor, packet);
	return packet->later || parse_ports(cursor, packet);
}

/* Parse the IP packet at an offset; family is 4 or 6. */
INLINE int parse_ip(struct __sk_buff *skb, __u8 family, __u32 offset, struct packet *packet)
{
	packet->ip = offset;
	return family == 4 ? parse_ipv4(cursor_at(skb, offset), packet)
			   : parse_ipv6(cursor_at(skb, offset), packet);
}

INLINE __be16 ether_type(const struct packet *packet)
{
	return packet->key.family == 6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
}

INLINE int is_multicast(const struct packet *packet)
{
	const __u8 *to = packet->key.target;

	if (packet->key.family == 4)
		return to[0] >= 224; /* and 240/4, of which 255.255.255.255 is one */
	return to[0] == 0xff;
}

/* Addresses that mean something on one link alone. */
INLINE int is_link_local(const struct packet *packet)
{
	const __u8 *to = packet->key.target;

	if (packet->key.family == 4)
		return to[0] == 169 && to[1] == 254;
	return to[0] == 0xfe && (to[1] & 0xc0) == 0x80;
}

/* End of the headers that every piece of a large packet gets; offset in the frame. */
INLINE __u32 headers_end(const struct packet *packet)
{
	return packet->transport +
	       (packet->key.protocol == IPPROTO_TCP ? packet->tcp_words * 4 : 8);
}

/* Size of the IP packet, or of the largest piece that the kernel will cut of it. */
INLINE __u32 size_of(const struct __sk_buff *skb, const struct packet *packet)
{
	if (!skb->gso_size)
		return packet->size ? packet->size : skb->len - packet->ip;
	return headers_end(packet) - packet->ip + skb->gso_size;
}

/* Packets that a large one will be cut into. The kernel's own count is gone where a virtual
 * machine or an earlier change of headers has touched the packet. */
INLINE __u32 pieces_of(const struct __sk_buff *skb, const struct packet *packet)
{
	__u32 payload = skb->len - headers_end(packet);

	if (!skb->gso_size || headers_end(packet) >= skb->len)
		return 1;
	return (payload + skb->gso_size - 1) / skb->gso_size;
}

/* 1 if above, without a branch: each one doubles what the verifier walks. */
INLINE __u32 is_above(__u32 size, __u32 limit)
{
	__u64 difference = (__u64)limit - size;

	asm volatile("" : "+r"(difference)); /* or the compiler makes it a comparison again */
	return difference >> 63;
}

INLINE __u32 bucket_of(__u32 size)
{
	return is_above(size, 128) + is_above(size, 512) + is_above(size, 1024);
}
