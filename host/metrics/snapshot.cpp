// SPDX-License-Identifier: MIT
//
// The arena layout behind SnapshotBuilder. Series ids are FNV-1a over the family's name and the labels.
#include "metrics/snapshot.h"

#include "base/hash.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <memory>

namespace lemonade::metrics {

namespace {

constexpr std::array<std::uint64_t, 19> kShownBounds = {
    100'000,       250'000,        500'000,        1'000'000,      2'500'000,     5'000'000,     10'000'000,
    25'000'000,    50'000'000,     100'000'000,    250'000'000,    500'000'000,   1'000'000'000, 2'500'000'000,
    5'000'000'000, 10'000'000'000, 25'000'000'000, 50'000'000'000, 60'000'000'000};

static_assert(std::ranges::is_sorted(kShownBounds));
static_assert(std::ranges::all_of(kShownBounds,
                                  [](std::uint64_t bound) {
                                    return std::ranges::binary_search(Histogram::kBounds, bound);
                                  }),
              "a bound that the histogram does not count to cannot be shown");

std::uint64_t hashBytes(std::uint64_t hash, std::string_view text) noexcept {
  return fnv1a("\xff", fnv1a(text, hash));  // 0xff is no UTF-8: it keeps "a","b" apart from "ab",""
}

double seconds(std::uint64_t ns) noexcept { return static_cast<double>(ns) / 1e9; }

}  // namespace

std::span<const std::uint64_t> shownBounds() noexcept { return kShownBounds; }

lemonade_series_t& FamilyBuilder::append(const LabelSet& labels) {
  lemonade_series_t series{};
  series.labels = labels.labels_.data();
  series.label_count = static_cast<std::uint32_t>(labels.labels_.size());
  series.id = family_->hash ^ (labels.hash_ * 0x9e3779b97f4a7c15u);
  ++snapshot_->series_count_;
  return family_->series.emplace_back(series);
}

FamilyBuilder& FamilyBuilder::add(const LabelSet& labels, double value) {
  append(labels).value = value;
  return *this;
}

FamilyBuilder& FamilyBuilder::add(const LabelSet& labels, const Histogram::Sum& samples) {
  constexpr std::size_t count = kShownBounds.size() + 1;
  auto* const buckets = static_cast<lemonade_bucket_t*>(
      snapshot_->arena_.allocate(count * sizeof(lemonade_bucket_t), alignof(lemonade_bucket_t)));
  std::uint64_t cumulative = 0;
  std::size_t fine = 0;
  for (std::size_t i = 0; i < kShownBounds.size(); ++i) {
    for (; fine < Histogram::kBounds.size() && Histogram::kBounds[fine] <= kShownBounds[i]; ++fine)
      cumulative += samples.buckets[fine];
    new (&buckets[i]) lemonade_bucket_t{seconds(kShownBounds[i]), cumulative};
  }
  new (&buckets[count - 1]) lemonade_bucket_t{std::numeric_limits<double>::infinity(), samples.count};

  const auto [fine_buckets, fine_count] = addFine(samples);
  auto& series = append(labels);
  series.fine_buckets = fine_buckets;
  series.fine_bucket_count = fine_count;
  series.buckets = buckets;
  series.bucket_count = count;
  series.value = seconds(samples.sum_ns);
  series.count = samples.count;
  return *this;
}

std::pair<const lemonade_fine_bucket_t*, std::uint32_t> FamilyBuilder::addFine(const Histogram::Sum& samples) {
  const auto empty = std::count(samples.buckets.begin(), samples.buckets.end(), std::uint64_t{0});
  const auto count = samples.buckets.size() - static_cast<std::size_t>(empty);
  if (count == 0) return {};
  auto* const fine = static_cast<lemonade_fine_bucket_t*>(
      snapshot_->arena_.allocate(count * sizeof(lemonade_fine_bucket_t), alignof(lemonade_fine_bucket_t)));
  auto* next = fine;
  for (std::size_t i = 0; i < Histogram::kBuckets; ++i) {
    if (samples.buckets[i] == 0) continue;
    const double upper =
        i < Histogram::kBounds.size() ? seconds(Histogram::kBounds[i]) : std::numeric_limits<double>::infinity();
    new (next++) lemonade_fine_bucket_t{i == 0 ? 0 : seconds(Histogram::kBounds[i - 1]), upper, samples.buckets[i]};
  }
  return {fine, static_cast<std::uint32_t>(count)};
}

FamilyBuilder SnapshotBuilder::family(std::uint32_t type, std::string_view name, std::string_view help) {
  if (const auto found = by_name_.find(name); found != by_name_.end()) return {*snapshot_, *found->second};
  lemonade_family_t family{};
  family.name = keep(name);
  family.help = keep(help);
  family.type = type;
  family.series_stride = sizeof(lemonade_series_t);
  auto& store = snapshot_->store_.emplace_back(Snapshot::FamilyStore{family, hashBytes(kFnv1aBasis, name), {}});
  by_name_.emplace(std::string_view(family.name.data, family.name.size), &store);
  return {*snapshot_, store};
}

LabelSet SnapshotBuilder::labels(const LabelSet& base, std::initializer_list<Label> more) {
  const std::size_t count = base.labels_.size() + more.size();
  auto* const labels = static_cast<lemonade_label_t*>(
      snapshot_->arena_.allocate(count * sizeof(lemonade_label_t), alignof(lemonade_label_t)));
  auto* next = std::uninitialized_copy(base.labels_.begin(), base.labels_.end(), labels);
  LabelSet set;
  set.hash_ = base.labels_.empty() ? kFnv1aBasis : base.hash_;
  for (const auto& label : more) {
    new (&*next++) lemonade_label_t{keep(label.name), keep(label.value)};
    set.hash_ = hashBytes(hashBytes(set.hash_, label.name), label.value);
  }
  set.labels_ = {labels, count};
  return set;
}

std::shared_ptr<const Snapshot> SnapshotBuilder::build(std::uint64_t unix_ns, std::uint64_t uptime_ns) {
  auto& snapshot = *snapshot_;
  for (auto& store : snapshot.store_) {
    if (store.series.empty()) continue;
    store.family.series = store.series.data();
    store.family.series_count = static_cast<std::uint32_t>(store.series.size());
    snapshot.families_.push_back(store.family);
  }
  snapshot.raw_.struct_size = sizeof(lemonade_snapshot_t);
  snapshot.raw_.family_count = static_cast<std::uint32_t>(snapshot.families_.size());
  snapshot.raw_.families = snapshot.families_.data();
  snapshot.raw_.family_stride = sizeof(lemonade_family_t);
  snapshot.raw_.unix_ns = unix_ns;
  snapshot.raw_.uptime_ns = uptime_ns;
  by_name_.clear();
  return std::shared_ptr<const Snapshot>(std::move(snapshot_));
}

lemonade_str_t SnapshotBuilder::keep(std::string_view text) {
  if (text.empty()) return {"", 0};
  auto* const copy = static_cast<char*>(snapshot_->arena_.allocate(text.size(), 1));
  std::memcpy(copy, text.data(), text.size());
  return {copy, text.size()};
}

}  // namespace lemonade::metrics
