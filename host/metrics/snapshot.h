// SPDX-License-Identifier: MIT
//
// Everything the balancer counts, at one moment, in the form that metrics sinks read (lemonade/metrics_sink.h).
//
// Sources append families to a SnapshotBuilder; build() freezes it. All text, labels and buckets live in one arena, and
// the label set of a backend is stored once however many families it appears in, so that thousands of backends cost
// little. A snapshot is immutable and may be read by any thread; a builder belongs to one thread.
#pragma once

#include <lemonade/metrics_sink.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <memory_resource>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "balance/histogram.h"

namespace lemonade::metrics {

/// One label of a series. The texts are copied.
struct Label {
  std::string_view name;
  std::string_view value;
};

/// Labels stored by a builder; a cheap value that any family of this builder takes. Empty: no labels.
class LabelSet {
 public:
  LabelSet() noexcept = default;

 private:
  friend class SnapshotBuilder;
  friend class FamilyBuilder;
  std::span<const lemonade_label_t> labels_;
  std::uint64_t hash_ = 0;
};

class FamilyBuilder;

/// Immutable; shared by every sink that has yet to see it.
class Snapshot {
 public:
  /// Valid as long as this object.
  const lemonade_snapshot_t& raw() const noexcept { return raw_; }
  std::size_t seriesCount() const noexcept { return series_count_; }

 private:
  friend class SnapshotBuilder;
  friend class FamilyBuilder;
  Snapshot() = default;

  struct FamilyStore {
    lemonade_family_t family;
    std::uint64_t hash;
    std::vector<lemonade_series_t> series;
  };

  std::pmr::monotonic_buffer_resource arena_;
  std::deque<FamilyStore> store_;  // a deque: builders hold references while families are added
  std::vector<lemonade_family_t> families_;
  lemonade_snapshot_t raw_{};
  std::size_t series_count_ = 0;
};

/// Adds series to one family. Valid as long as the SnapshotBuilder it came from.
class FamilyBuilder {
 public:
  /// One number of a counter or gauge.
  FamilyBuilder& add(const LabelSet& labels, double value);
  FamilyBuilder& add(double value) { return add(LabelSet{}, value); }
  /// The samples of a histogram, shown in seconds with the bounds of kShownBounds.
  FamilyBuilder& add(const LabelSet& labels, const Histogram::Sum& samples);

 private:
  friend class SnapshotBuilder;
  FamilyBuilder(Snapshot& snapshot, Snapshot::FamilyStore& family) : snapshot_(&snapshot), family_(&family) {}
  lemonade_series_t& append(const LabelSet& labels);
  std::pair<const lemonade_fine_bucket_t*, std::uint32_t> addFine(const Histogram::Sum& samples);

  Snapshot* snapshot_;
  Snapshot::FamilyStore* family_;
};

/// The upper bounds that sinks are shown, in nanoseconds: 1, 2.5, 5 to the decade from 100 us to 50 s, then 60 s.
std::span<const std::uint64_t> shownBounds() noexcept;

class SnapshotBuilder {
 public:
  SnapshotBuilder() : snapshot_(new Snapshot) {}

  /// The family of this name, made where the snapshot has none yet; its first type and help stay. names follow
  /// Prometheus' conventions, help is one sentence. The texts are copied.
  FamilyBuilder counter(std::string_view name, std::string_view help) {
    return family(LEMONADE_METRIC_COUNTER, name, help);
  }
  FamilyBuilder gauge(std::string_view name, std::string_view help) {
    return family(LEMONADE_METRIC_GAUGE, name, help);
  }
  FamilyBuilder histogram(std::string_view name, std::string_view help) {
    return family(LEMONADE_METRIC_HISTOGRAM, name, help);
  }
  /// The same for a type known at run time, one of LEMONADE_METRIC_*.
  FamilyBuilder family(std::uint32_t type, std::string_view name, std::string_view help);

  /// Stores labels: first those of `base`, which may be empty, then `more`.
  LabelSet labels(std::initializer_list<Label> more) { return labels(LabelSet{}, more); }
  LabelSet labels(const LabelSet& base, std::initializer_list<Label> more);

  /// Freezes what was added; families without a series are left out. The builder is used up.
  /// unix_ns: wall clock since 1970; uptime_ns: of the process.
  std::shared_ptr<const Snapshot> build(std::uint64_t unix_ns, std::uint64_t uptime_ns);

 private:
  lemonade_str_t keep(std::string_view text);

  std::unique_ptr<Snapshot> snapshot_;
  std::unordered_map<std::string_view, Snapshot::FamilyStore*> by_name_;  // keys live in the arena
};

/// Adds its families to a snapshot. Runs on any thread, several at once, and never waits for the control thread.
using Collector = std::function<void(SnapshotBuilder&)>;

}  // namespace lemonade::metrics
