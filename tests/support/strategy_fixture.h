// SPDX-License-Identifier: MIT
//
// Drives a strategy as the host does, from its real .so: builds views, keeps the live numbers, prepares and picks, with
// a clock that only moves when told. One thread, except where a function says otherwise.
#pragma once

#include <lemonade/strategy.h>

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lemonade::test {

struct BackendSpec {
  std::uint32_t weight = 1;
  std::uint32_t max_connections = 0;
  bool healthy = true;
  std::string id = {};                                 ///< empty: "web-" and its index
  std::optional<std::uint32_t> effective_weight = {};  ///< nothing: 1000 * weight
  std::string zone = {};
};

/// `count` backends with weight 1.
std::vector<BackendSpec> equalBackends(std::size_t count);
/// One backend for each weight.
std::vector<BackendSpec> weightedBackends(const std::vector<std::uint32_t>& weights);
/// One backend with weight 1 for each zone.
std::vector<BackendSpec> zonedBackends(const std::vector<std::string>& zones);

class StrategyFixture {
 public:
  /// `path` is the plugin's file; `options` overrides defaults of its schema, written as in TOML. Throws
  /// std::runtime_error with the reason where the plugin does not load or refuses.
  StrategyFixture(const std::string& path, std::vector<BackendSpec> backends,
                  std::map<std::string, std::string> options = {});
  ~StrategyFixture();
  StrategyFixture(const StrategyFixture&) = delete;
  StrategyFixture& operator=(const StrategyFixture&) = delete;

  /// The balancer's own zone, from the next view on; "here" at first.
  void setZone(std::string zone) { zone_ = std::move(zone); }
  /// Publishes another view. Backends that were there keep their live numbers.
  void publish(std::vector<BackendSpec> backends);
  /// Has the current view prepared once more.
  void prepareAgain();
  /// From now on pick gets no prepared object, as when prepare failed.
  void dropPrepared();

  /// What pick answers for a connection that was already refused by `tried`.
  std::uint32_t pick(const std::vector<std::uint32_t>& tried = {});
  /// The same, with everything a worker brings along. Any thread.
  std::uint32_t pickAs(std::uint32_t worker, std::uint64_t random, const std::vector<std::uint32_t>& tried) const;
  /// The letters of the next picks ('a' is the first backend, '-' none), without opening sessions.
  std::string sequence(std::size_t picks);
  /// How often each backend is picked, without opening sessions; picks that answer NONE are not counted.
  std::vector<std::size_t> shares(std::size_t picks);

  /// From now on every connection is of this client, until nothing is set: then each is of a random one.
  void setClient(std::optional<std::uint32_t> address) { client_ = address; }

  // What the host writes.
  lemonade_backend_stats_t& stats(std::size_t index) { return stats_[index].stats; }
  lemonade_backend_speed_t& speed(std::size_t index) { return stats_[index].speed; }
  /// So many exchanges were answered after ns each by now, as after exponential work.
  void learn(std::uint32_t index, std::uint64_t ns, float count);
  void open(std::uint32_t index, std::uint32_t sessions = 1) { stats(index).active += sessions; }
  void close(std::uint32_t index, std::uint32_t sessions = 1) { stats(index).active -= sessions; }
  void ask(std::uint32_t index);                              ///< an exchange begins now
  void drop(std::uint32_t index, std::uint64_t asked_at_ns);  ///< it ends without an answer
  /// An exchange that began at asked_at_ns is answered now.
  void answer(std::uint32_t index, std::uint64_t asked_at_ns);
  void fail(std::uint32_t index);     ///< a session failed now
  void succeed(std::uint32_t index);  ///< a session ended well
  void advance(std::uint64_t ns) { now_ns_ += ns; }
  std::uint64_t now() const { return now_ns_; }
  std::uint32_t size() const { return view_.backend_count; }

 private:
  struct alignas(64) Line {
    lemonade_backend_stats_t stats{};
    lemonade_backend_speed_t speed{};
  };

  void load(const std::string& path, const std::map<std::string, std::string>& options);
  void release();

  void* image_ = nullptr;
  const lemonade_strategy_t* table_ = nullptr;
  lemonade_host_t host_{};
  void* self_ = nullptr;
  void* prepared_ = nullptr;
  std::vector<void*> lanes_;
  std::deque<Line> stats_;  // a deque, since views point to them
  std::vector<BackendSpec> specs_;
  std::vector<lemonade_backend_t> backends_;
  std::vector<std::uint32_t> eligible_;
  lemonade_view_t view_{};
  std::string zone_ = "here";
  std::uint64_t now_ns_ = 1'000'000'000'000;
  std::uint64_t random_ = 1;
  std::optional<std::uint32_t> client_;
};

}  // namespace lemonade::test
