// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Runs in the kernel, at the netfilter hook "forward" of the balancer's network namespace, for each packet that this
// machine forwards: how long backends take to answer. An exchange is from the last data of the client to the first data
// of the backend after it, as for a relay; packets without data are none of it, nor is data that the backend has
// acknowledged before: it is sent again, or asks whether somebody is still there. It changes no packet and no verdict.
//
// Whose a packet is, conntrack has found out before: the mark of its entry has our tag and the backend's slot. The
// entry may be of a module, of whose types the verifier knows nothing, so it is read by offsets that the loader looks
// up. MIT would not do by itself: bpf_probe_read_kernel is for programs that are under the GPL, too.
#include "kernel/exchange_layout.h"

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define FROM_KERNEL __attribute__((preserve_access_index))

struct sk_buff {
  unsigned int len;
  unsigned long _nfct;
  __u16 transport_header;
  __u16 network_header;
  __u16 protocol;
  unsigned char* head;
} FROM_KERNEL;

struct bpf_nf_ctx {
  struct sk_buff* skb;
} FROM_KERNEL;

struct ipv6hdr {
  __u8 nexthdr;
} FROM_KERNEL;

/// Its first 14 bytes.
struct tcphdr {
  __u32 ports;
  __u32 sequence;
  __u32 acknowledged;
  __u8 words;  // of 32 bits, the header's, in the upper half
  __u8 flags;
};

extern void* bpf_rdonly_cast(const void* object, __u32 type) __ksym;

enum { kAccept = 1 };
enum { kOfClient = 0, kOfBackend = 3 };  // of enum ip_conntrack_info: established, and that in the reply direction
enum { kInfoBits = 7 };
enum { kFin = 1, kRst = 4 };
enum { kIpv6 = 0x86dd, kTcp = 6 };
enum { kAckedIsSet = 0x20 };  // IP_CT_TCP_FLAG_MAXACK_SET

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

/// The client says more before it was answered: it waits from now on, and is no further one that does.
static __always_inline void beginAnew(__u64 word, __u64 now) {
  const __u32 slot = lemonade_slot_of(word);
  struct lemonade_owed* const of = bpf_map_lookup_elem(&owed, &slot);
  if (of != NULL) __sync_fetch_and_add(&of->since_sum, (now & LEMONADE_TIME_MASK) - (word & LEMONADE_TIME_MASK));
}

/// The backend has had all of the client's data before.
static __always_inline int isKnown(const void* entry, const struct tcphdr* tcp, __u32 data) {
  __u8 again = 0, flags = 0;
  bpf_probe_read_kernel(&again, sizeof(again), entry + constants.retrans_offset);
  if (again != 0) return 1;
  bpf_probe_read_kernel(&flags, sizeof(flags), entry + constants.flags_offset);
  if (!(flags & kAckedIsSet)) return 0;
  __u32 acked = 0;
  bpf_probe_read_kernel(&acked, sizeof(acked), entry + constants.acked_offset);
  return (__s32)(bpf_ntohl(tcp->sequence) + data - acked) <= 0;
}

static __always_inline void tell(__u64 word, __u64 hash, __u64 now) {
  struct lemonade_exchange* const one = bpf_ringbuf_reserve(&answers, sizeof(*one), 0);
  if (one == NULL) return;  // nobody reads, and there is no room
  one->slot = lemonade_slot_of(word);
  one->took = (__u32)((now - word) & LEMONADE_TIME_MASK);
  one->answered = now;
  one->flow = hash;
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
  if (skb->protocol == bpf_htons(kIpv6)) {
    const struct ipv6hdr* const ip =
        bpf_rdonly_cast(skb->head + skb->network_header, bpf_core_type_id_kernel(struct ipv6hdr));
    if (ip->nexthdr != kTcp) return kAccept;  // behind other headers its place is not known
  }
  const struct tcphdr* const tcp =
      bpf_rdonly_cast(skb->head + skb->transport_header, bpf_core_type_id_kernel(struct tcphdr));
  const __u8 flags = tcp->flags;
  const __u32 headers = skb->transport_header - skb->network_header + (tcp->words >> 4) * 4;
  const __u32 data = skb->len > headers ? skb->len - headers : 0;
  const int over = (flags & kRst) || (info == kOfBackend && (flags & kFin));
  if (!data && !over) return kAccept;

  __u32 mark = 0;
  bpf_probe_read_kernel(&mark, sizeof(mark), entry + constants.mark_offset);
  if (mark >> 16 != constants.tag) return kAccept;

  struct lemonade_tuple tuple;
  bpf_probe_read_kernel(&tuple, sizeof(tuple), entry + constants.tuple_offset);
  const __u64 hash = lemonade_flow_hash(tuple.source, tuple.destination,
                                        (__u32)tuple.source_port << 16 | tuple.destination_port, constants.key);
  const __u64 id = lemonade_flow_id(hash, mark & (LEMONADE_SLOTS - 1));
  const __u32 place = lemonade_flow_place(hash);
  __u64* const word = bpf_map_lookup_elem(&words, &place);
  if (word == NULL) return kAccept;

  const __u64 waits = *(volatile __u64*)word;
  const int is_ours = waits != 0 && waits >> LEMONADE_TIME_BITS == id >> LEMONADE_TIME_BITS;
  if (info == kOfClient && data && !over) {
    if (isKnown(entry, tcp, data)) return kAccept;
    const __u64 now = ticks();
    const __u64 asks = id | (now & LEMONADE_TIME_MASK);
    if (is_ours && __sync_val_compare_and_swap(word, waits, asks) == waits) {
      beginAnew(waits, now);
      return kAccept;
    }
    beginWait(mark & (LEMONADE_SLOTS - 1), now);  // before others can end it
    const __u64 before = __sync_lock_test_and_set(word, asks);
    if (before != 0) endWait(before);  // another flow loses its place
    return kAccept;
  }
  if (!is_ours || __sync_val_compare_and_swap(word, waits, 0) != waits) return kAccept;
  endWait(waits);
  if (info == kOfBackend && data) tell(waits, hash, ticks());
  return kAccept;
}

char _license[] SEC("license") = "Dual MIT/GPL";
