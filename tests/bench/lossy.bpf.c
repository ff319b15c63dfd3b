/* A lossy cable, for the benchmark alone: what an end sends is lost tunnel by tunnel.
 *
 * Each tunnel has a two-state chain of its own (Gilbert), stepped by each of its packets: one
 * is lost with the probability `enter` if the one before it passed, else with `stay`. With
 * both equal, losses are independent (Bernoulli).
 */
#include "../../bpf/base.h"

struct bench_loss {
	__u32 at;     /* where in a frame the tunnel's number stands */
	__u32 length; /* of probes' frames; others pass */
	__u64 enter;  /* probabilities, of 2^32 */
	__u64 stay;
};

struct bench_way {
	__u64 seen;
	__u64 lost;
	__u64 bad; /* the last one was lost */
};

BPF_F_TABLE("array", u32, struct bench_loss, bench_loss, 1, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct bench_way, bench_ways, 1024, BPF_F_MMAPABLE);

int lossy(struct __sk_buff *skb)
{
	__u32 zero = 0, row;
	struct bench_loss *loss = bench_loss.lookup(&zero);
	struct bench_way *way;
	__be16 number = 0;

	if (!loss || skb->len != loss->length ||
	    bpf_skb_load_bytes(skb, loss->at, &number, sizeof(number)))
		return TC_ACT_UNSPEC;
	row = bpf_ntohs(number);
	way = bench_ways.lookup(&row);
	if (!way)
		return TC_ACT_UNSPEC;
	/* A tunnel's packets may leave from two processors at once: then a step gets lost. */
	way->bad = bpf_get_prandom_u32() < (way->bad ? loss->stay : loss->enter);
	way->seen++;
	way->lost += way->bad;
	return way->bad ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}
