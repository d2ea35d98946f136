// SPDX-License-Identifier: MIT
//
// The layout of the structs of minor version FROZEN_MINOR, compared between the frozen headers and the current ones
// when this is compiled: no field may move, change its size or go; what cannot grow keeps its size.
// LEMONADE_LAYOUT_HASH is computed anew from those of 1.0. That every byte of a frozen struct belongs to a listed field
// is checked too, so none can be forgotten; drift.py checks that no struct is.
#include "frozen.h"

#include <lemonade/health_checker.h>
#include <lemonade/metrics_sink.h>
#include <lemonade/strategy.h>

#include "plugin/image.h"
#include "plugin/kind.h"

#include <initializer_list>

#if FROZEN_MINOR >= 1
#define SINCE_1_1(...) , __VA_ARGS__
#define STRUCTS_OF_1_1                                                                                           \
  GROWS(lemonade_session_record_t, listener, pool, backend, backend_name, backend_address, client, peer,         \
        backend_identity, reason, flags, attempts, reserved, started_unix_ns, duration_ns, queue_ns, connect_ns, \
        first_byte_ns, slowest_exchange_ns, exchanges, bytes_in, bytes_out, bytes_out_acknowledged)              \
  GROWS(lemonade_session_batch_t, struct_size, record_count, records, record_stride, reserved, dropped)
#else
#define SINCE_1_1(...)
#define STRUCTS_OF_1_1
#endif

// Each struct with its fields in order of declaration: FIXED(type, field...) never grows, GROWS(...) may, at its end.
#define STRUCTS                                                                                                        \
  /* plugin.h */                                                                                                       \
  FIXED(lemonade_str_t, data, size)                                                                                    \
  GROWS(lemonade_error_t, struct_size, code, key, message)                                                             \
  GROWS(lemonade_option_t, key, type, flags, minimum, maximum, default_value, choices, doc)                            \
  FIXED(lemonade_option_value_t, integer, number, text)                                                                \
  GROWS(lemonade_options_t, struct_size, count, values)                                                                \
  GROWS(lemonade_writer_t, struct_size, reserved, context, write)                                                      \
  FIXED(lemonade_plugin_tag_t, magic, abi_major, abi_minor, need_minor, reserved0, kinds, flags, layout_hash,          \
        reserved)                                                                                                      \
  GROWS(lemonade_plugin_t, tag, id, version, struct_size, option_count, option_stride, reserved, options, name,        \
        vendor, license, doc, get_interface)                                                                           \
  /* host.h */                                                                                                         \
  FIXED(lemonade_metric_cell_t, value)                                                                                 \
  GROWS(lemonade_host_t, struct_size, abi_minor, context, log, now_ns, post, timer_start, timer_cancel,                \
        register_metric, get_extension)                                                                                \
  /* strategy.h */                                                                                                     \
  FIXED(lemonade_backend_stats_t, active, waiting, waiting_since_sum_us, connect_ewma_ns, exchange_ewma_ns,            \
        sampled_at_ns, failed_at_ns, fail_streak, error_rate, picks, quiet)                                            \
  GROWS(lemonade_backend_t, id, name, address, identity, weight, effective_weight, max_connections, flags, priority,   \
        reserved, stats SINCE_1_1(zone, labels, options, label_count, reserved1))                                      \
  GROWS(lemonade_view_t, struct_size, backend_stride, backend_count, eligible_count, backends, eligible,               \
        serial SINCE_1_1(pool, zone))                                                                                  \
  GROWS(lemonade_connection_t, struct_size, attempt, now_ns, random, client_address, client_family, client_port,       \
        local_port, tried, tried_count, worker,                                                                        \
        server_name SINCE_1_1(listener, local_address, local_family, reserved))                                        \
  GROWS(lemonade_strategy_event_t, struct_size, type, backend_identity, cookie, now_ns, value_ns, bytes_in, bytes_out, \
        exchanges, error, foreign)                                                                                     \
  GROWS(lemonade_strategy_t, struct_size, events, create, destroy, lane_create, lane_destroy, prepare, release, pick,  \
        event, state_format, export_state,                                                                             \
        import_state SINCE_1_1(backend_options, backend_option_count, backend_option_stride, needs, reserved))         \
  /* health_checker.h */                                                                                               \
  GROWS(lemonade_probe_target_t, struct_size, reserved, id, name, address, hostname, identity, timeout_ns, now_ns)     \
  GROWS(lemonade_probe_event_t, struct_size, type, elapsed_ns, data, error, reserved)                                  \
  GROWS(lemonade_probe_verdict_t, struct_size, what, send, reason)                                                     \
  GROWS(lemonade_health_checker_t, struct_size, reserved, create, destroy, probe_begin, probe_event, probe_end)        \
  /* metrics_sink.h */                                                                                                 \
  FIXED(lemonade_label_t, name, value)                                                                                 \
  FIXED(lemonade_bucket_t, upper, cumulative)                                                                          \
  GROWS(lemonade_series_t, labels, buckets, label_count, bucket_count, id, value, count)                               \
  GROWS(lemonade_family_t, name, help, type, series_count, series, series_stride, reserved)                            \
  GROWS(lemonade_snapshot_t, struct_size, family_count, families, family_stride, reserved, unix_ns, uptime_ns)         \
  GROWS(lemonade_health_event_t, struct_size, state, unix_ns, identity, id, name, address, reason)                     \
  STRUCTS_OF_1_1                                                                                                       \
  GROWS(lemonade_metrics_sink_t, struct_size, reserved, create, destroy, flush, content_type, render,                  \
        health_event SINCE_1_1(session_records, reopen))

namespace {

struct Field {
  std::uint64_t offset;
  std::uint64_t size;
};

struct Struct {
  std::uint64_t size;
  std::initializer_list<Field> fields;

  constexpr bool complete() const {
    std::uint64_t end = 0;
    for (const auto& field : fields) {
      if (field.offset != end) return false;
      end += field.size;
    }
    return end == size;
  }

  /// True where whoever was built with that one can be handed this one.
  constexpr bool fits(const Struct& that, bool grows) const {
    if (grows ? size < that.size : size != that.size) return false;
    const auto* other = that.fields.begin();
    for (const auto& field : fields) {
      if (field.offset != other->offset || field.size != other->size) return false;
      ++other;
    }
    return true;
  }
};

/// FNV-1a, 64 bits, over the bytes of a number, lowest first.
constexpr void mix(std::uint64_t& hash, std::uint64_t number) {
  for (int byte = 0; byte < 8; ++byte) {
    hash ^= number >> (8 * byte) & 0xff;
    hash *= 0x100000001b3u;
  }
}

consteval std::uint64_t layoutHash(std::initializer_list<Struct> structs) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const auto& each : structs) {
    mix(hash, each.size);
    for (const auto& field : each.fields) {
      mix(hash, field.offset);
      mix(hash, field.size);
    }
  }
  return hash;
}

// LAYOUT(type, field...): a Struct.
#define AGAIN ()
#define EXPAND(...) EXPAND1(EXPAND1(EXPAND1(__VA_ARGS__)))
#define EXPAND1(...) EXPAND2(EXPAND2(EXPAND2(__VA_ARGS__)))
#define EXPAND2(...) EXPAND3(EXPAND3(EXPAND3(__VA_ARGS__)))
#define EXPAND3(...) __VA_ARGS__
#define FIELD(type, name, ...) \
  Field{offsetof(type, name), sizeof(type::name)}, __VA_OPT__(FIELD_AGAIN AGAIN(type, __VA_ARGS__))
#define FIELD_AGAIN() FIELD
#define LAYOUT(type, ...)                              \
  Struct {                                             \
    sizeof(type), { EXPAND(FIELD(type, __VA_ARGS__)) } \
  }

#define COMPARE(type, grows, ...)                                                                                    \
  static_assert(LAYOUT(frozen::type, __VA_ARGS__).complete(), #type ": a field is not listed, or there is padding"); \
  static_assert(LAYOUT(::type, __VA_ARGS__).fits(LAYOUT(frozen::type, __VA_ARGS__), grows),                          \
                #type ": a field has moved or changed its size, or the whole has");
#define FIXED(type, ...) COMPARE(type, false, __VA_ARGS__)
#define GROWS(type, ...) COMPARE(type, true, __VA_ARGS__)
STRUCTS
#undef FIXED
#undef GROWS

/// Fails to compile with both numbers in the message.
template <std::uint64_t computed, std::uint64_t written>
constexpr bool theSame() {
  static_assert(computed == written, "LEMONADE_LAYOUT_HASH must be the first of these numbers");
  return true;
}
#define FIXED(type, ...) LAYOUT(frozen::type, __VA_ARGS__),
#define GROWS(type, ...) LAYOUT(frozen::type, __VA_ARGS__),
#if FROZEN_MINOR == 0
constexpr std::uint64_t kHash = layoutHash({STRUCTS});
static_assert(theSame<kHash, frozen::kLayoutHash>());
static_assert(theSame<kHash, LEMONADE_LAYOUT_HASH>(), "it is of 1.0 for ever");

// The host demands as many bytes of each struct that a plugin brings as 1.0 has.
using namespace lemonade::plugin;
static_assert(Image::kDescriptorSizeIn1_0 == sizeof(frozen::lemonade_plugin_t));
static_assert(Image::kOptionSizeIn1_0 == sizeof(frozen::lemonade_option_t));
static_assert(kKindOf<lemonade_strategy_t>.first_size == sizeof(frozen::lemonade_strategy_t));
static_assert(kKindOf<lemonade_health_checker_t>.first_size == sizeof(frozen::lemonade_health_checker_t));
static_assert(kKindOf<lemonade_metrics_sink_t>.first_size == sizeof(frozen::lemonade_metrics_sink_t));
#else
static_assert(LEMONADE_LAYOUT_HASH == frozen::kLayoutHash, "it is of 1.0 for ever");
#endif

}  // namespace
