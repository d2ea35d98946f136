// SPDX-License-Identifier: MIT
//
// C++ face of lemonade/metrics_sink.h. A sink is a class with at least one of
//
//   void flush(const Snapshot&, std::uint64_t deadline_ns);                        pushed every [metrics] interval
//   void render(const Snapshot&, std::string_view accept, Writer);                 asked for at /metrics
//   std::string_view contentType(std::string_view accept);                         goes with render
//   void onSessions(const SessionBatch&, std::uint64_t deadline_ns);               sessions that have ended
//
// and, where it likes,
//
//   void onHealth(const lemonade_health_event_t&);                                 a backend went up or down
//   void reopen();                                                                 a file was moved: open it anew
//
// and LEMONADE_METRICS_SINK(Class, .id = ..., ...). Only render may be called together with another, or itself. An
// exception out of any of them but onHealth is reported with its message. A sink without flush and render needs a host
// of 1.1, and says so.
#pragma once

#include <lemonade/metrics_sink.h>
#include <lemonade/sdk/plugin.hpp>

namespace lemonade::sdk {

/// Base of every metrics sink.
class MetricsSink {};

/// One family of a snapshot, series with one name; valid as long as the snapshot.
class Family {
 public:
  explicit Family(const lemonade_family_t& family) noexcept : family_(&family) {}
  std::string_view name() const noexcept { return view(family_->name); }
  std::string_view help() const noexcept { return view(family_->help); }
  std::uint32_t type() const noexcept { return family_->type; }  ///< LEMONADE_METRIC_*
  std::uint32_t size() const noexcept { return family_->series_count; }
  const lemonade_series_t& operator[](std::uint32_t index) const noexcept {
    return *lemonade_family_series(family_, index);
  }
  /// Of a histogram, the narrow buckets that have samples; none where the host is too old to have them.
  std::span<const lemonade_fine_bucket_t> fineBuckets(std::uint32_t index) const noexcept {
    if (lemonade_family_has_fine_buckets(family_) == 0) return {};
    const lemonade_series_t& series = (*this)[index];
    return {series.fine_buckets, series.fine_bucket_count};
  }

 private:
  const lemonade_family_t* family_;
};

/// Everything the balancer counts, at one moment; a cheap handle, valid during the call that received it.
class Snapshot {
 public:
  explicit Snapshot(const lemonade_snapshot_t& snapshot) noexcept : snapshot_(&snapshot) {}
  std::uint32_t size() const noexcept { return snapshot_->family_count; }
  Family operator[](std::uint32_t index) const noexcept { return Family(*lemonade_snapshot_family(snapshot_, index)); }
  const lemonade_snapshot_t& raw() const noexcept { return *snapshot_; }

 private:
  const lemonade_snapshot_t* snapshot_;
};

/// Sessions that have ended; a cheap handle, valid during the call that received it.
class SessionBatch {
 public:
  explicit SessionBatch(const lemonade_session_batch_t& batch) noexcept : batch_(&batch) {}
  std::uint32_t size() const noexcept { return batch_->record_count; }
  const lemonade_session_record_t& operator[](std::uint32_t index) const noexcept {
    return *lemonade_batch_record(batch_, index);
  }
  /// Records that this sink lost since the batch before.
  std::uint64_t dropped() const noexcept { return batch_->dropped; }

 private:
  const lemonade_session_batch_t* batch_;
};

/// The labels of a series, and of a histogram its buckets; valid as long as the snapshot.
inline std::span<const lemonade_label_t> labels(const lemonade_series_t& series) noexcept {
  return {series.labels, series.label_count};
}
inline std::span<const lemonade_bucket_t> buckets(const lemonade_series_t& series) noexcept {
  return {series.buckets, series.bucket_count};
}

namespace detail {

template <class S>
struct MetricsSinkKind {
  static constexpr std::uint32_t kKind = LEMONADE_KIND_METRICS_SINK;
  static constexpr std::string_view kInterface = LEMONADE_METRICS_SINK_INTERFACE;

  /// What a host of 1.0 would call nothing of is not for it.
  static constexpr bool kNeedsRecords = !requires { &S::flush; }
  &&!requires { &S::render; };
  static constexpr std::uint16_t kNeedMinor = kNeedsRecords ? 1 : 0;

  static S& self(void* instance) noexcept { return *static_cast<S*>(instance); }

  static lemonade_status_t flush(void* instance, const lemonade_snapshot_t* snapshot, std::uint64_t deadline_ns,
                                 lemonade_error_t* error) noexcept {
    return guarded(error, [&] { self(instance).flush(Snapshot(*snapshot), deadline_ns); });
  }
  static lemonade_str_t contentType(void* instance, lemonade_str_t accept) noexcept {
    return str(self(instance).contentType(view(accept)));
  }
  static lemonade_status_t render(void* instance, const lemonade_snapshot_t* snapshot, lemonade_str_t accept,
                                  const lemonade_writer_t* writer, lemonade_error_t* error) noexcept {
    return guarded(error, [&] { self(instance).render(Snapshot(*snapshot), view(accept), Writer(*writer)); });
  }
  static void healthEvent(void* instance, const lemonade_health_event_t* event) noexcept {
    lemonade_error_t ignored{};
    (void)guarded(&ignored, [&] { self(instance).onHealth(*event); });
  }

  static lemonade_status_t sessionRecords(void* instance, const lemonade_session_batch_t* batch,
                                          std::uint64_t deadline_ns, lemonade_error_t* error) noexcept {
    return guarded(error, [&] { self(instance).onSessions(SessionBatch(*batch), deadline_ns); });
  }
  static lemonade_status_t reopen(void* instance, lemonade_error_t* error) noexcept {
    return guarded(error, [&] { self(instance).reopen(); });
  }

  static constexpr lemonade_metrics_sink_t table() {
    lemonade_metrics_sink_t table{};
    table.struct_size = sizeof(lemonade_metrics_sink_t);
    table.create = create<S>;
    table.destroy = destroy<S>;
    if constexpr (requires { &S::flush; }) table.flush = flush;
    if constexpr (requires { &S::render; }) {
      table.content_type = contentType;
      table.render = render;
    }
    if constexpr (requires { &S::onHealth; }) table.health_event = healthEvent;
    if constexpr (requires { &S::onSessions; }) table.session_records = sessionRecords;
    if constexpr (requires { &S::reopen; }) table.reopen = reopen;
    return table;
  }
  static constexpr lemonade_metrics_sink_t kTable = table();
  // Asked of the class, not of kTable: with -fsanitize=undefined gcc 12 takes no function's address for a constant.
  static_assert(
      !kNeedsRecords || requires { &S::onSessions; }, "a sink needs flush(), render() or onSessions()");
};

}  // namespace detail
}  // namespace lemonade::sdk

/// Makes a class the metrics sink of this shared object. The rest of the arguments initialise lemonade::sdk::Info.
#define LEMONADE_METRICS_SINK(Class, ...) \
  LEMONADE_SDK_ENTRY(::lemonade::sdk::detail::MetricsSinkKind, Class, __VA_ARGS__)
