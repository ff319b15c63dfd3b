/* The pacer: sends probes at their times without any process.
 *
 * Tokens circle in a veth pair. On the way out of the first device a TBF lets one go a tick; at
 * the second one turn() sends a clone for every tunnel whose probe is due, marked with the
 * tunnel's row, and lets the token go round again. At the first device launch() turns tokens
 * back into the TBF, writes clones into probes and sends them. Both devices have queues of
 * their own (NAPI), so no flood of other packets pushes a token out.
 *
 * There are TOKENS of them, in case one gets lost all the same. Each knows at which turn it
 * passed last: as they keep their order, the turns since then are the tokens there are, and
 * one too few is cloned, one too many dropped. Those of another generation are dropped.
 *
 * A token has the shape of an IPv4 probe, so a clone needs no resizing.
 */
#include "hop.h"
#include "probe.h"

#ifndef PACER_ROWS
#define PACER_ROWS 1024
#endif
#define TOKEN_MAGIC 0x70617472 /* "patr" */
#define TOKENS 4
#define SETTLE (4 * TOKENS) /* turns until all tokens have seen the last change of their number */
#define QUICK_NS 50000 /* no tick is as short */
#define BURST 192 /* clones on their way to launch(); the queue holds 256, the token among them */
#define LATENESS 64
#define LATENESS_NS 100000
#define MARK_EXCUSE 0xffffffff /* on a clone; others have the row + 1 */
/* As engine/pauses.py. */
#define PAUSE_EARNING 20
#define PAUSE_MOST_NS 100000000

struct schedule {
	__s64 due_ns;
	__s64 interval_ns; /* 0: not probed */
};

struct pacing {
	__u32 generation;
	__u32 rows;
	__u32 cursor;       /* the row to look at next */
	__u32 queued;       /* clones on their way, at most as many */
	__u32 tokens;       /* as the last one to pass counted them */
	__u32 quick;        /* turns in a row without a tick between them */
	__u64 turns;
	__s64 turn_ns;      /* the last one */
	__u64 gap_ns_max;   /* between two turns; set it to 0 to begin anew */
	__u64 changed;      /* the turn at which a token was cloned or dropped last */
	__u64 cloned;
	__u64 strays;       /* packets that are no token in force */
	__u64 refused;      /* clones that the kernel had no room for */
	__u64 deferred;     /* turns that left probes to the next one */
	__u64 no_way;       /* probes without a device to go to */
	__s64 patience_ns;  /* a turn may come so late before it counts as a pause */
	__u64 pauses;       /* that were excused; engine/pauses.py */
	__u64 paused_ns;    /* how long they were in all */
	__u64 sent;         /* clones, ever */
	__u64 launched;     /* of those */
	__u64 lateness[LATENESS]; /* of probes, by 100 us; the last is for all beyond */
};

struct token {
	struct ethhdr ethernet;
	struct iphdr ip;
	struct udphdr udp;
	__u32 magic;
	__u32 generation;
	__u64 turn; /* at which it passed last, 0 for a new one */
	__u64 sent; /* clones ahead of it */
	__u8 room[sizeof(struct probe_frame) - 24];
} __attribute__((packed));

BPF_F_TABLE("array", u32, struct schedule, schedule, PACER_ROWS, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct pacing, pacing, 1, BPF_F_MMAPABLE);

INLINE struct pacing *pacing_of(void)
{
	__u32 zero = 0;

	return pacing.lookup(&zero);
}

INLINE void count_lateness(struct pacing *state, __u64 late_ns)
{
	__u64 place = late_ns < LATENESS * LATENESS_NS ? late_ns / LATENESS_NS : LATENESS - 1;

	/* What the comparison proves is lost on the verifier, and such a mask on the compiler. */
	asm volatile("%0 &= 63" : "+r"(place));
	state->lateness[place]++;
}

/* Return whether a probe is due, and when the next one is; what was missed is not made up
 * for. */
INLINE int due(const struct work *work, struct pacing *state, struct schedule *slot, __u32 row)
{
	__s64 late_ns = work->now_ns - slot->due_ns;
	__u64 missed;
	struct tunnel *tunnel;

	if (!slot->interval_ns || late_ns < 0)
		return 0;
	count_lateness(state, late_ns);
	missed = (__u64)late_ns / (__u64)slot->interval_ns;
	slot->due_ns += (missed + 1) * slot->interval_ns;
	tunnel = missed ? tunnel_of(row) : NULL;
	if (tunnel)
		probing_of(tunnel)->skipped += missed;
	return 1;
}

/* Return the row at the cursor, and move it on. It is kept in the map, as is the number sent,
 * so that the verifier does not tell apart the ways that a turn may have gone so far. */
INLINE __u32 next_row(struct pacing *state)
{
	volatile __u32 *cursor = &state->cursor;
	__u32 row = *cursor;

	if (row >= state->rows)
		row = 0;
	*cursor = row + 1;
	return row;
}

INLINE void send_due(struct work *work, struct pacing *state)
{
	volatile __u32 *queued = &state->queued;
	struct __sk_buff *skb = work->skb;

	/* On a busy processor those of the last turn may be waiting still. */
	*queued = state->sent - state->launched;
	for (__u32 turn = 0; turn < PACER_ROWS; turn++) {
		struct schedule *slot;
		__u32 row, place;

		if (turn >= state->rows)
			break;
		if (*queued >= BURST) {
			state->deferred++;
			break;
		}
		row = place = next_row(state);
		slot = schedule.lookup(&place);
		if (!slot || !due(work, state, slot, row))
			continue;
		skb->mark = row + 1;
		if (bpf_clone_redirect(skb, skb->ifindex, 0))
			state->refused++;
		*queued += 1;
	}
	skb->mark = 0;
	state->sent = state->launched + *queued;
}

INLINE struct token *token_at(struct __sk_buff *skb)
{
	struct token *token = (void *)(long)skb->data;

	return (void *)(token + 1) > (void *)(long)skb->data_end ? NULL : token;
}

/* Count the tokens by this one's lap; 0 where it is one too many. */
INLINE int regulate(struct work *work, struct pacing *state, struct token *token)
{
	__u64 tokens = token->turn ? state->turns - token->turn : TOKENS;

	token->turn = state->turns;
	state->tokens = tokens;
	if (tokens == TOKENS || state->turns - state->changed < SETTLE)
		return 1;
	state->changed = state->turns;
	if (tokens > TOKENS)
		return 0;
	if (!bpf_clone_redirect(work->skb, work->skb->ifindex, 0))
		state->cloned++;
	return 1;
}

/* All bits where a number is not negative, else none: as a mask it costs the verifier no branch,
 * of which it can bear eight a row. */
INLINE __s64 unless_negative(__s64 number)
{
	__s64 mask = ~(number >> 63);

	asm volatile("" : "+r"(mask)); /* the compiler would make a branch of it */
	return mask;
}

/* Move a stamp that was fresh until a pause on by its length, but not beyond now. */
INLINE void excuse_stamp(__s64 *stamp, __s64 detect_ns, __s64 until_ns, __s64 now_ns)
{
	__s64 old_ns = *(volatile __s64 *)stamp;
	__s64 new_ns = old_ns + ((now_ns - until_ns) & unless_negative(detect_ns - (until_ns - old_ns)));
	__s64 over_ns = new_ns - now_ns;

	new_ns -= over_ns & unless_negative(over_ns);
	/* A packet that comes meanwhile on another processor knows better. */
	__sync_val_compare_and_swap(stamp, old_ns, new_ns);
}

/* Let the stamps that were fresh until a pause be so after it; then this end is awake again.
 * A program of its own, by its mark: two loops over the rows are more than the verifier bears. */
INLINE int excuse(const struct work *work, struct pacing *state)
{
	struct settings *settings = work->settings;
	__s64 until_ns = listening_ns(work), pause_ns = work->now_ns - until_ns;

	for (__u32 turn = 0; turn < PACER_ROWS; turn++) {
		struct tunnel *tunnel;

		if (turn >= state->rows || !pause_ns)
			break;
		tunnel = tunnel_of(next_row(state));
		if (!tunnel)
			continue;
		excuse_stamp(&tunnel->heard_ns, tunnel->detect_ns, until_ns, work->now_ns);
		excuse_stamp(&tunnel->confirmed_ns, tunnel->detect_ns, until_ns, work->now_ns);
	}
	settings->pause_left_ns -= pause_ns;
	state->pauses += !!pause_ns;
	state->paused_ns += pause_ns;
	/* Last, so that nobody takes the pause for silence before it is excused. */
	barrier_();
	settings->awake_until_ns = work->now_ns + state->patience_ns;
	return TC_ACT_SHOT;
}

/* Say until when this end is awake; a pause is excused first, ahead of this turn's probes. */
INLINE void stay_awake(const struct work *work, struct pacing *state, __u64 gap_ns)
{
	struct settings *settings = work->settings;
	__s64 left_ns = settings->pause_left_ns + gap_ns / PAUSE_EARNING;

	settings->pause_left_ns = left_ns < PAUSE_MOST_NS ? left_ns : PAUSE_MOST_NS;
	if (listening_ns(work) == work->now_ns) {
		settings->awake_until_ns = work->now_ns + state->patience_ns;
		return;
	}
	work->skb->mark = MARK_EXCUSE;
	if (bpf_clone_redirect(work->skb, work->skb->ifindex, 0))
		state->refused++;
	work->skb->mark = 0;
}

/* Take note of a turn; 0 where tokens run free because somebody took the TBF away. */
INLINE int note_turn(const struct work *work, struct pacing *state, __u64 gap_ns)
{
	state->quick = gap_ns < QUICK_NS ? state->quick + 1 : 0;
	if (gap_ns > state->gap_ns_max)
		state->gap_ns_max = gap_ns;
	state->turns++;
	state->turn_ns = work->now_ns;
	return state->quick < 4 * TOKENS;
}

INLINE void put_probe(const struct work *work, struct tunnel *tunnel, __u32 row,
		      struct probe_frame *frame)
{
	struct probing *probing = probing_of(tunnel);
	struct stamp *stamp = &frame->stamp;
	__u32 sequence = put_overlay(work, tunnel, STAMP_PROBE, &frame->overlay);

	__builtin_memset(stamp, 0, sizeof(*stamp));
	stamp->sequence = bpf_htonl(probing->sent);
	stamp->error = bpf_htons(STAMP_ERROR_ESTIMATE);
	stamp->ssid = SSID(row);
	probing->sent++;
	probing->sent_ns = work->now_ns;
	stamp->liveness.flags = TLV_FLAG_U;
	put_liveness(work, tunnel, sequence, &stamp->liveness);
	put_time(stamp->sent, clock_ns(work->settings));
}

INLINE void put_udp(const struct tunnel *tunnel, struct udphdr *udp)
{
	udp->source = tunnel->local_port;
	udp->dest = tunnel->remote_port;
	udp->len = bpf_htons(sizeof(*udp) + sizeof(struct probe_frame));
	udp->check = 0;
}

INLINE void put_ip4(const struct tunnel *tunnel, struct iphdr *ip)
{
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 4;
	ip->ihl = 5;
	ip->tot_len = bpf_htons(sizeof(*ip) + sizeof(struct udphdr) + sizeof(struct probe_frame));
	ip->ttl = STAMP_TTL;
	ip->protocol = IPPROTO_UDP;
	__builtin_memcpy(&ip->saddr, tunnel->local, 4);
	__builtin_memcpy(&ip->daddr, tunnel->remote, 4);
	ip->check = sum_ipv4(ip);
}

INLINE void put_ip6(const struct tunnel *tunnel, __u8 twins, struct ipv6hdr *ip)
{
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 6;
	ip->payload_len = bpf_htons(sizeof(struct udphdr) + sizeof(struct probe_frame));
	ip->nexthdr = IPPROTO_UDP;
	ip->hop_limit = STAMP_TTL;
	put_ends6(ip, tunnel, twins);
}

/* Write a clone of the token into a probe. */
INLINE int put_frame(const struct work *work, struct tunnel *tunnel, __u8 twins, __u32 row)
{
	int six = !!(tunnel->flags & TUNNEL_IPV6);
	__u32 at = ETH_HLEN + (six ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
	void *data;
	struct probe_frame *frame;

	if (six && bpf_skb_change_proto(work->skb, bpf_htons(ETH_P_IPV6), 0))
		return 0;
	if (bpf_skb_pull_data(work->skb, work->skb->len))
		return 0;
	data = (void *)(long)work->skb->data;
	frame = data + at + sizeof(struct udphdr);
	if ((void *)(frame + 1) > (void *)(long)work->skb->data_end)
		return 0;
	if (six)
		put_ip6(tunnel, twins, data + ETH_HLEN);
	else
		put_ip4(tunnel, data + ETH_HLEN);
	put_udp(tunnel, data + at);
	put_probe(work, tunnel, row, frame);
	return 1;
}

INLINE int send_probe(struct work *work, struct pacing *state, __u32 row)
{
	struct tunnel *tunnel = tunnel_of(row);
	__u8 twins = tunnel ? twins_of(tunnel) : 0;
	int action = TC_ACT_SHOT;

	if (tunnel && tunnel->flags & TUNNEL_IN_USE && put_frame(work, tunnel, twins, row))
		action = send(work, tunnel, twins);
	state->no_way += action == TC_ACT_SHOT;
	return action;
}

/* A token has come around: so have all clones ahead of it. */
INLINE int pass_token(struct __sk_buff *skb, struct pacing *state)
{
	struct token *token;

	reach(skb, sizeof(*token));
	token = token_at(skb);
	if (token && token->magic == TOKEN_MAGIC)
		state->launched = token->sent;
	return bpf_redirect(skb->ifindex, 0);
}

int turn(struct __sk_buff *skb)
{
	struct pacing *state = pacing_of();
	struct token *token;
	struct work work;
	__u64 gap_ns;

	if (!state || !begin(&work, skb, FROM_KERNEL))
		return TC_ACT_SHOT;
	reach(skb, sizeof(*token));
	token = token_at(skb);
	if (!token || token->magic != TOKEN_MAGIC || token->generation != state->generation) {
		state->strays++;
		return TC_ACT_SHOT;
	}
	gap_ns = state->turns ? work.now_ns - state->turn_ns : 0;
	if (!note_turn(&work, state, gap_ns) || !regulate(&work, state, token))
		return TC_ACT_SHOT;
	stay_awake(&work, state, gap_ns);
	send_due(&work, state);
	reach(skb, sizeof(*token));
	token = token_at(skb);
	if (token)
		token->sent = state->sent;
	/* A token as it was made belongs to the socket that it was sent from, which is not gone
	 * before the token is, and keeps its network namespace: whoever deleted that would leave
	 * both going round for ever. A clone belongs to nobody. */
	if (skb->sk) {
		bpf_clone_redirect(skb, skb->ifindex, 0);
		return TC_ACT_SHOT;
	}
	return bpf_redirect(skb->ifindex, 0);
}

int launch(struct __sk_buff *skb)
{
	struct pacing *state = pacing_of();
	struct work work;

	if (!state || !begin(&work, skb, FROM_KERNEL))
		return TC_ACT_SHOT;
	if (!skb->mark)
		return pass_token(skb, state);
	if (skb->mark == MARK_EXCUSE)
		return excuse(&work, state);
	return send_probe(&work, state, skb->mark - 1);
}
