// SPDX-License-Identifier: MIT
#include "observe/recent.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace lemonade {

namespace {

constexpr std::uint64_t kRateWindow = 10'000'000'000;

/// Of this process: those of the processes before it come all at once.
Tally tallyOf(const Backend& backend) noexcept {
  Tally tally;
  for (std::uint32_t worker = 0; worker < backend.workers(); ++worker) {
    const auto& counters = backend.counters(worker);
    tally.clients += counters.sessions.value() + counters.connect_refused.value() + counters.connect_timeouts.value() +
                     counters.connect_errors.value();
    tally.exchanges += counters.exchanges.value();
    tally.errors += errorsOf(counters);
  }
  return tally;
}

Histogram::Sum timesOf(const Backend& backend, Histogram BackendCounters::*histogram) noexcept {
  Histogram::Sum sum;
  for (std::uint32_t worker = 0; worker < backend.workers(); ++worker) sum.add(backend.counters(worker).*histogram);
  return sum;
}

/// True where it is not what it was: a total that went back belongs to something that left and came again.
bool wentBack(const Tally& before, const Tally& now) noexcept {
  return now.clients < before.clients || now.exchanges < before.exchanges || now.errors < before.errors;
}
bool wentBack(const Histogram::Sum& before, const Histogram::Sum& now) noexcept {
  return !std::equal(before.buckets.begin(), before.buckets.end(), now.buckets.begin(), std::less_equal<>());
}

/// What is more now; nothing where a mark was set between the look that this is of and the question.
std::uint64_t moreThan(std::uint64_t before, std::uint64_t now) noexcept { return now > before ? now - before : 0; }

}  // namespace

std::uint64_t errorsOf(const ListenerCounters& counters) noexcept {
  return counters.no_backend.value() + counters.connect_failed.value() + counters.queue_timeouts.value() +
         counters.backend_resets.value() + counters.early_closes.value() + counters.no_memory.value();
}

std::uint64_t errorsOf(const PoolCounters& counters) noexcept {
  return counters.no_backend.value() + counters.connect_failed.value() + counters.queue_timeouts.value() +
         counters.backend_resets.value() + counters.early_closes.value();
}

std::uint64_t errorsOf(const BackendCounters& counters) noexcept {
  return counters.connect_refused.value() + counters.connect_timeouts.value() + counters.connect_errors.value() +
         counters.resets.value() + counters.early_closes.value();
}

// ---- of one thing --------------------------------------------------------------------------------------------------

void TallyHistory::mark(std::uint64_t now_ns, const Tally& tally) noexcept {
  std::copy_backward(marks_.begin(), marks_.end() - 1, marks_.end());
  marks_[0] = {now_ns, tally};
  count_ = std::min(count_ + 1, marks_.size());
}

Rates TallyHistory::rates(std::uint64_t now_ns, const Tally& tally) const noexcept {
  std::size_t i = 0;
  while (i + 1 < count_ && now_ns < marks_[i].at_ns + kRateWindow) ++i;
  const Mark& base = marks_[i];
  if (now_ns <= base.at_ns || wentBack(base.tally, tally)) return {};
  const double seconds = static_cast<double>(now_ns - base.at_ns) / 1e9;
  const auto since = [&](std::uint64_t Tally::*number) {
    return static_cast<double>(tally.*number - base.tally.*number);
  };
  const double clients = since(&Tally::clients), errors = since(&Tally::errors);
  // An error of a client that came before that is one of nobody.
  const double share = errors == 0 ? 0 : clients == 0 ? 1 : std::min(1.0, errors / clients);
  return {clients / seconds, since(&Tally::exchanges) / seconds, errors / seconds, share};
}

void TimesHistory::markQuiet() {
  parts_[next_] = {};
  next_ = (next_ + 1) % kMarks;
}

void TimesHistory::mark(const Histogram::Sum& ever) {
  if (newest_ == nullptr || wentBack(*newest_, ever)) newest_ = std::make_unique<Histogram::Sum>();
  Part part{.sum_ns = ever.sum_ns - newest_->sum_ns};
  for (std::size_t i = 0; i < Histogram::kBuckets; ++i)
    if (const auto more = ever.buckets[i] - newest_->buckets[i]; more != 0)
      part.buckets.emplace_back(static_cast<std::uint8_t>(i), static_cast<std::uint32_t>(more));
  *newest_ = ever;
  parts_[next_] = std::move(part);
  next_ = (next_ + 1) % kMarks;
}

Histogram::Sum TimesHistory::recent(const Histogram::Sum& ever) const noexcept {
  Histogram::Sum recent = ever;
  if (newest_ != nullptr) {
    for (std::size_t i = 0; i < Histogram::kBuckets; ++i)
      recent.buckets[i] = moreThan(newest_->buckets[i], ever.buckets[i]);
    recent.sum_ns = moreThan(newest_->sum_ns, ever.sum_ns);
  }
  for (const auto& part : parts_) {
    for (const auto& [bucket, samples] : part.buckets) recent.buckets[bucket] += samples;
    recent.sum_ns += part.sum_ns;
  }
  recent.count = std::accumulate(recent.buckets.begin(), recent.buckets.end(), std::uint64_t{0});
  return recent;
}

// ---- of all --------------------------------------------------------------------------------------------------------

namespace {

const TallyHistory& tallyIn(const TallyHistory& history) noexcept { return history; }
const TallyHistory& tallyIn(const auto& history) noexcept { return history.tally; }

}  // namespace

// What is there goes on with its history; that of what is new begins at the mark before.
template <class Key, class History>
History& Recent::goOn(std::unordered_map<Key, History>& before, std::unordered_map<Key, History>& after, const Key& key,
                      const Tally& tally) const {
  auto known = before.extract(key);
  if (!known.empty() && !wentBack(tallyIn(known.mapped()).newest(), tally))
    return after.insert(std::move(known)).position->second;
  return after.try_emplace(key, History{TallyHistory(marked_ns_)}).first->second;
}

void Recent::mark(std::uint64_t now_ns, const std::vector<ListenerNow>& listeners, const std::vector<PoolNow>& pools,
                  std::span<const std::shared_ptr<Backend>> backends) {
  const std::lock_guard lock(mutex_);
  decltype(listeners_) listeners_after;
  for (const auto& listener : listeners)
    goOn(listeners_, listeners_after, listener.name, listener.tally).mark(now_ns, listener.tally);
  decltype(pools_) pools_after;
  for (const auto& pool : pools) {
    auto& history = goOn(pools_, pools_after, pool.name, pool.tally);
    history.tally.mark(now_ns, pool.tally);
    history.queue_time.mark(pool.queue_time);
  }
  decltype(backends_) backends_after;
  for (const auto& backend : backends) {
    const Tally tally = tallyOf(*backend);
    auto& history = goOn(backends_, backends_after, backend->identity(), tally);
    // Of one that is quiet, as most of a large pool are, nothing more is read.
    if (history.tally.newest() == tally) {
      history.connect_time.markQuiet();
      history.exchange_time.markQuiet();
    } else {
      history.connect_time.mark(timesOf(*backend, &BackendCounters::connect_time));
      history.exchange_time.mark(timesOf(*backend, &BackendCounters::exchange_time));
    }
    history.tally.mark(now_ns, tally);
  }
  listeners_ = std::move(listeners_after);
  pools_ = std::move(pools_after);
  backends_ = std::move(backends_after);
  marked_ns_ = now_ns;
}

Rates Recent::of(std::uint64_t now_ns, const ListenerNow& listener) const {
  const std::lock_guard lock(mutex_);
  const auto known = listeners_.find(listener.name);
  return (known != listeners_.end() ? known->second : TallyHistory(marked_ns_)).rates(now_ns, listener.tally);
}

std::pair<Rates, Histogram::Sum> Recent::of(std::uint64_t now_ns, const PoolNow& pool) const {
  const std::lock_guard lock(mutex_);
  const auto known = pools_.find(pool.name);
  if (known == pools_.end()) return {TallyHistory(marked_ns_).rates(now_ns, pool.tally), pool.queue_time};
  return {known->second.tally.rates(now_ns, pool.tally), known->second.queue_time.recent(pool.queue_time)};
}

Recent::OfBackend Recent::of(std::uint64_t now_ns, const Backend& backend) const {
  const std::lock_guard lock(mutex_);
  const Tally tally = tallyOf(backend);
  const auto connect_time = timesOf(backend, &BackendCounters::connect_time);
  const auto exchange_time = timesOf(backend, &BackendCounters::exchange_time);
  const auto known = backends_.find(backend.identity());
  if (known == backends_.end()) return {TallyHistory(marked_ns_).rates(now_ns, tally), connect_time, exchange_time};
  const auto& history = known->second;
  return {history.tally.rates(now_ns, tally), history.connect_time.recent(connect_time),
          history.exchange_time.recent(exchange_time)};
}

}  // namespace lemonade
