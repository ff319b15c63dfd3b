/* Maps shared by all programs. Sizes are those of the tests; the loader sets the real ones.
 *
 * Arrays are mapped into the agent's memory. Tries and hashes cannot be, and are changed by
 * system calls; none of them is touched by a failover.
 */
#pragma once

BPF_F_TABLE("array", u32, struct settings, settings, 1, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct tunnel, tunnels, 16, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, u64, entries, 128, BPF_F_MMAPABLE); /* two banks */
BPF_F_TABLE("array", u32, struct used, used, 64, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct count, counters, 4096, BPF_F_MMAPABLE); /* [cpu][place] */
BPF_F_TABLE("array", u32, u64, rules, 2 * RULES_BANK, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct flow_set, flows, 512, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct ring, ring, 1, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct move, moves, 1024, BPF_F_MMAPABLE);

BPF_TABLE("array", u32, struct lan_hop, lan_hops, LAN_HOPS);

BPF_F_TABLE("array", u32, struct range4, ranges4, 512, BPF_F_MMAPABLE); /* two banks */
BPF_F_TABLE("array", u32, struct range6, ranges6, 1024, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct range_place, places4, 4096, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct range_place, places6, 4096, BPF_F_MMAPABLE);

BPF_F_TABLE("lpm_trie", struct prefix4, struct destination, prefixes4, 1024, BPF_F_NO_PREALLOC);
BPF_F_TABLE("lpm_trie", struct prefix6, struct destination, prefixes6, 1024, BPF_F_NO_PREALLOC);
BPF_F_TABLE("lpm_trie", struct prefix4, struct rule_bits, targets4, 256, BPF_F_NO_PREALLOC);
BPF_F_TABLE("lpm_trie", struct prefix6, struct rule_bits, targets6, 256, BPF_F_NO_PREALLOC);

BPF_TABLE("lru_hash", struct fragment_key, struct fragment, fragments, 1024);
