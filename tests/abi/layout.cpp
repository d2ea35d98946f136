// SPDX-License-Identifier: MIT
//
// The layout of the 1.0 structs: computes LEMONADE_LAYOUT_HASH anew and stops the build when the constant in plugin.h
// is stale. That every byte of a struct belongs to a listed field is checked too, so none can be forgotten.
#include <lemonade/health_checker.h>
#include <lemonade/metrics_sink.h>
#include <lemonade/strategy.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>

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
    if (!each.complete()) throw "a field is missing from the list of its struct, or there is padding";
    mix(hash, each.size);
    for (const auto& field : each.fields) {
      mix(hash, field.offset);
      mix(hash, field.size);
    }
  }
  return hash;
}

// STRUCT(type, field...): the type with its fields in order of declaration.
#define AGAIN ()
#define EXPAND(...) EXPAND1(EXPAND1(EXPAND1(__VA_ARGS__)))
#define EXPAND1(...) EXPAND2(EXPAND2(EXPAND2(__VA_ARGS__)))
#define EXPAND2(...) __VA_ARGS__
#define FIELD(type, name, ...) \
  Field{offsetof(type, name), sizeof(type::name)}, __VA_OPT__(FIELD_AGAIN AGAIN(type, __VA_ARGS__))
#define FIELD_AGAIN() FIELD
#define STRUCT(type, ...)                              \
  Struct {                                             \
    sizeof(type), { EXPAND(FIELD(type, __VA_ARGS__)) } \
  }

constexpr std::uint64_t kHash = layoutHash({
    // plugin.h
    STRUCT(lemonade_str_t, data, size),
    STRUCT(lemonade_error_t, struct_size, code, key, message),
    STRUCT(lemonade_option_t, key, type, flags, minimum, maximum, default_value, choices, doc),
    STRUCT(lemonade_option_value_t, integer, number, text),
    STRUCT(lemonade_options_t, struct_size, count, values),
    STRUCT(lemonade_writer_t, struct_size, reserved, context, write),
    STRUCT(lemonade_plugin_tag_t, magic, abi_major, abi_minor, need_minor, reserved0, kinds, flags, layout_hash,
           reserved),
    STRUCT(lemonade_plugin_t, tag, id, version, struct_size, option_count, option_stride, reserved, options, name,
           vendor, license, doc, get_interface),
    // host.h
    STRUCT(lemonade_metric_cell_t, value),
    STRUCT(lemonade_host_t, struct_size, abi_minor, context, log, now_ns, post, timer_start, timer_cancel,
           register_metric, get_extension),
    // strategy.h
    STRUCT(lemonade_backend_stats_t, active, waiting, waiting_since_sum_us, connect_ewma_ns, exchange_ewma_ns,
           sampled_at_ns, failed_at_ns, fail_streak, error_rate, picks, quiet),
    STRUCT(lemonade_backend_t, id, name, address, identity, weight, effective_weight, max_connections, flags,
           priority, reserved, stats),
    STRUCT(lemonade_view_t, struct_size, backend_stride, backend_count, eligible_count, backends, eligible, serial),
    STRUCT(lemonade_connection_t, struct_size, attempt, now_ns, random, client_address, client_family, client_port,
           local_port, tried, tried_count, worker, server_name),
    STRUCT(lemonade_strategy_event_t, struct_size, type, backend_identity, cookie, now_ns, value_ns, bytes_in,
           bytes_out, exchanges, error, foreign),
    STRUCT(lemonade_strategy_t, struct_size, events, create, destroy, lane_create, lane_destroy, prepare, release, pick,
           event, state_format, export_state, import_state),
    // health_checker.h
    STRUCT(lemonade_probe_target_t, struct_size, reserved, id, name, address, hostname, identity, timeout_ns, now_ns),
    STRUCT(lemonade_probe_event_t, struct_size, type, elapsed_ns, data, error, reserved),
    STRUCT(lemonade_probe_verdict_t, struct_size, what, send, reason),
    STRUCT(lemonade_health_checker_t, struct_size, reserved, create, destroy, probe_begin, probe_event, probe_end),
    // metrics_sink.h
    STRUCT(lemonade_label_t, name, value),
    STRUCT(lemonade_bucket_t, upper, cumulative),
    STRUCT(lemonade_series_t, labels, buckets, label_count, bucket_count, id, value, count),
    STRUCT(lemonade_family_t, name, help, type, series_count, series, series_stride, reserved),
    STRUCT(lemonade_snapshot_t, struct_size, family_count, families, family_stride, reserved, unix_ns, uptime_ns),
    STRUCT(lemonade_health_event_t, struct_size, state, unix_ns, identity, id, name, address, reason),
    STRUCT(lemonade_metrics_sink_t, struct_size, reserved, create, destroy, flush, content_type, render, health_event),
});

/// Fails to compile with both numbers in the message.
template <std::uint64_t computed, std::uint64_t written>
constexpr bool theSame() {
  static_assert(computed == written, "plugin.h: LEMONADE_LAYOUT_HASH must be the first of these numbers");
  return true;
}
static_assert(theSame<kHash, LEMONADE_LAYOUT_HASH>());

}  // namespace
