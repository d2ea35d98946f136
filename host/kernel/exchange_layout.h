/* SPDX-License-Identifier: MIT
 *
 * What the program in the kernel (exchanges.bpf.c) and the balancer have in common: the layout of its maps, and where a
 * flow has its place in them. For both compilers, so plain C. */
#ifndef LEMONADE_KERNEL_EXCHANGE_LAYOUT_H
#define LEMONADE_KERNEL_EXCHANGE_LAYOUT_H

#include <linux/types.h>

/* Times are ticks of 1024 ns of the monotonic clock. */
#define LEMONADE_TICK_BITS 10

/* One word for each flow that waits for an answer, at a place that its addresses give: 11 bits by which it is known
 * there, 13 of the slot of its backend, 40 of the time of its request. 0: nobody waits there. Who comes to a place that
 * is taken takes it over, and the exchange that was there is not timed. */
#define LEMONADE_WORDS 65536u
#define LEMONADE_SLOTS 8192u
#define LEMONADE_TIME_BITS 40
#define LEMONADE_SLOT_BITS 13
#define LEMONADE_TIME_MASK ((1ull << LEMONADE_TIME_BITS) - 1)

/* struct nf_conntrack_tuple, as far as it says who it is. */
struct lemonade_tuple {
  __u32 source[4];
  __u16 source_port;
  __u16 family;
  __u32 destination[4];
  __u16 destination_port;
};

/* What the program is told before it is loaded. Offsets are those of struct nf_conn, in bytes. */
struct lemonade_program_constants {
  __u32 tag;            /* the upper half of our marks */
  __u32 mark_offset;    /* mark */
  __u32 tuple_offset;   /* tuplehash[0].tuple, which begins as struct lemonade_tuple does */
  __u32 retrans_offset; /* proto.tcp.retrans */
  __u32 acked_offset;   /* proto.tcp.seen[1].td_maxack */
  __u32 flags_offset;   /* proto.tcp.seen[1].flags */
  __u64 wake_after;     /* time between two that the balancer is woken */
  __u64 key;            /* of lemonade_flow_hash */
};

/* What one backend owes; a cache line. */
struct lemonade_owed {
  __u64 asked_waiting; /* upper half: requests so far, modulo 2^32; lower half: those that wait for their answer */
  __u64 since_sum;     /* sum of the times of these, 40 bits of each, modulo 2^64 */
  __u64 unused[6];
};

/* An exchange that was answered, as the ring has it. */
struct lemonade_exchange {
  __u32 slot;
  __u32 took;
  __u64 answered;
  __u64 flow; /* lemonade_flow_hash of its addresses */
};

/* source, destination: of the first packet, as they are in memory, of IPv4 the first word and zeros. ports: source <<
 * 16 | destination, each as it is in memory. key: drawn once, so that no client can choose what collides: each word is
 * spread over all bits before the next one comes. Connections of one client to one listener never collide. */
static inline __attribute__((always_inline)) __u64 lemonade_flow_hash(const __u32* source, const __u32* destination,
                                                                      __u32 ports, __u64 key) {
  const __u64 odd = 0x9e3779b97f4a7c15ull;
  __u64 hash = (key ^ ((__u64)source[0] << 32 | source[1])) * odd;
  hash = (hash ^ hash >> 32 ^ ((__u64)source[2] << 32 | source[3])) * odd;
  const __u64 to =
      ((__u64)destination[0] << 32 | destination[1]) + ((__u64)destination[2] << 32 | destination[3]) * odd;
  hash = (hash ^ hash >> 32 ^ to) * odd;
  return (hash ^ hash >> 32 ^ ports) * odd;
}
static inline __attribute__((always_inline)) __u32 lemonade_flow_place(__u64 hash) {
  return (__u32)(hash >> 16) & (LEMONADE_WORDS - 1);
}
/* The word of a flow but for its time. */
static inline __attribute__((always_inline)) __u64 lemonade_flow_id(__u64 hash, __u32 slot) {
  return hash >> 53 << 53 | (__u64)slot << LEMONADE_TIME_BITS;
}
static inline __attribute__((always_inline)) __u32 lemonade_slot_of(__u64 word) {
  return (__u32)(word >> LEMONADE_TIME_BITS) & (LEMONADE_SLOTS - 1);
}

#endif
