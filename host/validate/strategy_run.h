// SPDX-License-Identifier: MIT
//
// Drives a strategy in a check: scenes of backends, their preparation, picks and events. Everything that the strategy
// is handed lies in guarded memory.
#pragma once

#include "validate/harness.h"

#include <optional>
#include <string>
#include <vector>

namespace lemonade::validate {

struct BackendSpec {
  std::uint32_t weight = 1;
  bool healthy = true;
};

/// A view and all that it points to, unchanged for its life (the live numbers apart).
class Scene {
 public:
  /// extra: bytes that each of its structs has more than in 1.0. first: the number of the first backend's identity.
  explicit Scene(std::vector<BackendSpec> specs, std::size_t extra = 0, std::uint64_t first = 1);

  /// Gives its backends the options that a strategy declares for them: the defaults, samples, and `changes`. Once,
  /// before the strategy is shown the view; nothing where there are none, or the host is of ABI 1.0.
  void giveOptions(const lemonade_strategy_t& strategy, const config::OptionTable& changes = {});

  const lemonade_view_t& view() noexcept { return *view_.get(); }
  lemonade_backend_stats_t& stats(std::uint32_t index) noexcept;
  bool eligible(std::uint32_t index) const noexcept;
  std::uint64_t identity(std::uint32_t index) const noexcept { return first_ + index; }
  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(specs_.size()); }

 private:
  lemonade_backend_t& backend(std::uint32_t index) noexcept;

  std::vector<BackendSpec> specs_;
  std::vector<std::string> ids_;
  std::vector<std::uint32_t> eligible_indices_;
  std::uint64_t first_;
  GuardedBytes stats_;
  GuardedBytes speeds_;
  GuardedBytes backends_;
  GuardedBytes eligible_;
  Guarded<lemonade_view_t> view_;
  std::optional<plugin::OptionSet> option_set_;
  std::optional<Guarded<lemonade_options_t>> options_;
};

/// An instance with its lanes and what it prepared of one scene.
class StrategyRun {
 public:
  StrategyRun(const Subject& subject, const Code& code, std::uint32_t workers = 1, std::size_t extra = 0,
              const config::OptionTable& changes = {});
  StrategyRun(const StrategyRun&) = delete;
  StrategyRun& operator=(const StrategyRun&) = delete;
  ~StrategyRun();

  const lemonade_strategy_t& table() const noexcept { return live_.table(); }
  void* self() const noexcept { return live_.self(); }
  void* lane(std::uint32_t worker) const noexcept { return lanes_[worker]; }
  const void* prepared() const noexcept { return prepared_; }

  /// From now on picks are from this scene, which must outlive them. Throws where it cannot be prepared.
  void show(Scene& scene);
  /// The same, as after a failed preparation.
  void showUnprepared(Scene& scene);

  /// Its answer as it is.
  std::uint32_t pick(std::uint64_t random, const std::vector<std::uint32_t>& tried = {}, std::uint32_t worker = 0);
  /// Its answer, which must be usable: NONE, REJECT or an eligible backend. Whether it was tried is not looked at.
  std::uint32_t usablePick(std::uint64_t random, const std::vector<std::uint32_t>& tried = {});
  /// What the last pick set its cookie to.
  std::uint64_t cookie() const noexcept { return cookie_; }
  /// One event of each type that it asks for.
  void tell(std::uint64_t identity, bool foreign, std::uint64_t cookie, std::uint32_t worker = 0);

 private:
  void release() noexcept;

  const lemonade_plugin_t& entry_;
  std::size_t extra_;
  Live<lemonade_strategy_t> live_;
  std::vector<void*> lanes_;
  Scene* scene_ = nullptr;
  void* prepared_ = nullptr;
  std::uint64_t cookie_ = 0;
  Guarded<lemonade_connection_t> connection_;
  Guarded<lemonade_strategy_event_t> event_;
};

/// A number that looks random and is not: the same for the same seed and place.
std::uint64_t scrambled(std::uint64_t seed, std::uint64_t place) noexcept;

/// `count` backends of weight 1 that are all up.
inline std::vector<BackendSpec> equals(std::size_t count) { return std::vector<BackendSpec>(count); }
/// `count` backends of all weights, some of them down.
std::vector<BackendSpec> mixed(std::size_t count);

}  // namespace lemonade::validate
