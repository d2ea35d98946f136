// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Runs in the kernel, at the netfilter hook "forward" of the balancer's network namespace, for each packet that this
// machine forwards: how long backends take to answer. An exchange is from the last data of the client to the first data
// of the backend after it, as for a relay; packets without data, and data sent again, are none of it. It changes no
// packet and no verdict.
//
// Whose a packet is, conntrack has found out before: the mark of its entry has our tag and the backend's slot. The
// entry may be of a module, of whose types the verifier knows nothing, so it is read by offsets that the loader looks
// up. MIT would not do by itself: bpf_probe_read_kernel is for programs that are under the GPL, too.
#include "kernel/exchange_layout.h"

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define FROM_KERNEL __attribute__((preserve_access_index))

struct sk_buff {
  unsigned int len;
  unsigned long _nfct;
  __u16 transport_header;
  __u16 network_header;
  unsigned char* head;
} FROM_KERNEL;

struct bpf_nf_ctx {
  struct sk_buff* skb;
} FROM_KERNEL;

/// Its first 14 bytes.
struct tcphdr {
  __u32 before[3];
  __u8 words;  // of 32 bits, the header's, in the upper half
  __u8 flags;
};

extern void* bpf_rdonly_cast(const void* object, __u32 type) __ksym;

enum { kAccept = 1 };
enum { kOfClient = 0, kOfBackend = 3 };  // of enum ip_conntrack_info: established, and that in the reply direction
enum { kInfoBits = 7 };
enum { kFin = 1, kRst = 4 };

const volatile struct lemonade_program_constants constants;
__u64 woken;  // when the balancer was woken last

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, LEMONADE_WORDS);
  __type(key, __u32);
  __type(value, __u64);
} words SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, LEMONADE_SLOTS);
  __type(key, __u32);
  __type(value, struct lemonade_owed);
} owed SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 1 << 20);
} answers SEC(".maps");

static __always_inline __u64 ticks(void) { return bpf_ktime_get_ns() >> LEMONADE_TICK_BITS; }

static __always_inline void beginWait(__u32 slot, __u64 now) {
  struct lemonade_owed* const of = bpf_map_lookup_elem(&owed, &slot);
  if (of == NULL) return;
  __sync_fetch_and_add(&of->asked_waiting, (1ull << 32) + 1);
  __sync_fetch_and_add(&of->since_sum, now & LEMONADE_TIME_MASK);
}

static __always_inline void endWait(__u64 word) {
  const __u32 slot = lemonade_slot_of(word);
  struct lemonade_owed* const of = bpf_map_lookup_elem(&owed, &slot);
  if (of == NULL) return;
  __sync_fetch_and_add(&of->asked_waiting, -1);
  __sync_fetch_and_add(&of->since_sum, -(word & LEMONADE_TIME_MASK));
}

static __always_inline void tell(__u64 word, __u64 now) {
  struct lemonade_exchange* const one = bpf_ringbuf_reserve(&answers, sizeof(*one), 0);
  if (one == NULL) return;  // nobody reads, and there is no room
  one->slot = lemonade_slot_of(word);
  one->took = (__u32)((now - word) & LEMONADE_TIME_MASK);
  one->answered = now;
  // The first after a while wakes the balancer, which then looks again by itself.
  const int wakes = now - woken >= constants.wake_after;
  if (wakes) woken = now;
  bpf_ringbuf_submit(one, wakes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

SEC("netfilter")
int timeExchange(struct bpf_nf_ctx* ctx) {
  struct sk_buff* const skb = ctx->skb;
  const __u64 nfct = skb->_nfct;
  const void* const entry = (const void*)(nfct & ~(__u64)kInfoBits);
  const __u32 info = nfct & kInfoBits;
  if (entry == NULL || (info != kOfClient && info != kOfBackend)) return kAccept;

  // Of one of our own NAT has made the header linear; of another it does not matter what is read. Most packets without
  // data end here.
  const struct tcphdr* const tcp =
      bpf_rdonly_cast(skb->head + skb->transport_header, bpf_core_type_id_kernel(struct tcphdr));
  const __u8 flags = tcp->flags;
  const __u32 headers = skb->transport_header - skb->network_header + (tcp->words >> 4) * 4;
  const int data = skb->len > headers;
  const int over = (flags & kRst) || (info == kOfBackend && (flags & kFin));
  if (!data && !over) return kAccept;

  __u32 mark = 0;
  bpf_probe_read_kernel(&mark, sizeof(mark), entry + constants.mark_offset);
  if (mark >> 16 != constants.tag) return kAccept;

  struct lemonade_tuple tuple;
  bpf_probe_read_kernel(&tuple, sizeof(tuple), entry + constants.tuple_offset);
  const __u64 hash =
      lemonade_flow_hash(tuple.source, (__u32)tuple.source_port << 16 | tuple.destination_port, constants.key);
  const __u64 id = lemonade_flow_id(hash, mark & (LEMONADE_SLOTS - 1));
  const __u32 place = lemonade_flow_place(hash);
  __u64* const word = bpf_map_lookup_elem(&words, &place);
  if (word == NULL) return kAccept;

  if (info == kOfClient && data && !over) {
    __u8 again = 0;
    bpf_probe_read_kernel(&again, sizeof(again), entry + constants.retrans_offset);
    if (again != 0) return kAccept;
    const __u64 now = ticks();
    const __u64 before = __sync_lock_test_and_set(word, id | (now & LEMONADE_TIME_MASK));
    if (before != 0) endWait(before);  // the same flow says more, or another one loses its place
    beginWait(mark & (LEMONADE_SLOTS - 1), now);
    return kAccept;
  }
  const __u64 waits = *(volatile __u64*)word;
  if (waits == 0 || waits >> LEMONADE_TIME_BITS != id >> LEMONADE_TIME_BITS) return kAccept;
  if (__sync_val_compare_and_swap(word, waits, 0) != waits) return kAccept;
  endWait(waits);
  if (info == kOfBackend && data) tell(waits, ticks());
  return kAccept;
}

char _license[] SEC("license") = "Dual MIT/GPL";
