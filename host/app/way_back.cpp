// SPDX-License-Identifier: MIT
//
// How a pool goes back to what it ran before: where its strategy is quarantined, or does worse on probation than the
// one before.
#include "app/managed_pool.h"
#include "app/preparation.h"
#include "balance/own_choice.h"
#include "balance/pool.h"
#include "base/log.h"
#include "base/nanoseconds.h"
#include "plugin/plugin_file.h"

#include <exception>
#include <utility>

namespace lemonade::app {

namespace {

constexpr std::size_t kEarlier = 2;

}  // namespace

void ManagedPool::remember(std::shared_ptr<const plugin::PluginFile> file, const config::PluginChoice& choice) {
  stands_in_hash_.clear();
  if (current_.file != nullptr && current_.file->hash != file->hash) {
    swapped_ = true;
    std::erase_if(earlier_, [&](const Generation& one) { return one.file->hash == file->hash; });
    earlier_.push_front(std::move(current_));
    if (earlier_.size() > kEarlier) earlier_.pop_back();
  }
  // What a process before has left, until it is forgotten after the start.
  for (const auto& one : context_.earlier.find(file->id, file->path, context_.quarantine))
    if (one->hash != file->hash && earlier_.size() < kEarlier) earlier_.push_back({one, choice});
  current_ = {std::move(file), choice};
}

std::vector<std::shared_ptr<const plugin::PluginFile>> ManagedPool::earlierContents() const {
  std::vector<std::shared_ptr<const plugin::PluginFile>> contents;
  if (!stands_in_hash_.empty() && current_.file != nullptr) contents.push_back(current_.file);
  for (const auto& one : earlier_) contents.push_back(one.file);
  return contents;
}

std::shared_ptr<Strategy> ManagedPool::makeOf(const Generation& generation) {
  // The options of today first; an earlier version may not know them all.
  const config::PluginChoice* const choices[] = {&current_.choice, &generation.choice};
  for (const auto* choice : choices) {
    if (choice->id != generation.file->id) continue;
    std::vector<plugin::OptionProblem> problems;
    auto instance = context_.loader->create<lemonade_strategy_t>(*generation.file, *choice, problems);
    if (!instance) continue;
    context_.loader->keepLoaded(generation.file->hash);
    auto made = Strategy::make(std::move(*instance), pool_->workers());
    if (made) return std::move(made).value();
    log::warning("app", "an earlier version of the strategy cannot take its place", {{"reason", made.error().message}});
  }
  return nullptr;
}

std::shared_ptr<Strategy> ManagedPool::makeEarlier(const std::string& id, bool of_any_plugin) try {
  for (auto one = earlier_.begin(); one != earlier_.end(); ++one) {
    if ((one->file->id != id && !of_any_plugin) || context_.quarantine.contains(one->file->hash)) continue;
    auto made = makeOf(*one);
    if (made == nullptr) continue;
    if (one->file->id == current_.choice.id)
      current_.file = one->file;  // with the choice of today
    else
      current_ = *one;
    earlier_.erase(one);
    return made;
  }
  return nullptr;
} catch (const std::exception& e) {
  log::warning("app", "no earlier version of the strategy can take its place", {{"reason", e.what()}});
  return nullptr;
}

void ManagedPool::fallBack(bool of_any_plugin) {
  if (pool_->strategy() == nullptr) return;
  endProbation();
  const auto left = pool_->strategy()->info();
  if (stands_in_hash_.empty()) stands_in_hash_ = left.hash;
  auto strategy = makeEarlier(left.id, of_any_plugin);
  if (strategy == nullptr) {
    current_.file = nullptr;
    strategy = std::move(Strategy::make(makeOwnChoice(), pool_->workers())).value();
  }
  const auto& now = strategy->info();
  log::warning("app", "another strategy takes the place of one that is quarantined",
               {{"plugin", left.id},
                {"version", left.version},
                {"instead", now.id == kOwnChoiceId ? "the host's own choice, by weight" : now.id + " " + now.version},
                {"pool", name_}});
  pool_->setStrategy(std::move(strategy));
  publish();
  // The next one is compared with what runs again, and not with what is left.
  picks_of_earlier_ = picks_before_;
  picks_at_swap_ = pickFactsOf(*pool_);
}

void ManagedPool::beginProbation(Duration lasting) {
  if (!std::exchange(swapped_, false)) return;
  const auto until_now = pickFactsOf(*pool_);
  picks_before_ = std::exchange(picks_of_earlier_, {}) + (until_now - std::exchange(picks_at_swap_, until_now));
  if (lasting == Duration::zero()) return;
  probation_ends_ns_ = loop_.clock().nowNs() + ns(lasting);
  pool_->settings().times_all_picks.store(true, std::memory_order_relaxed);
  pool_->strategy()->believeOneIn(believedOneIn(picks_before_));
}

std::string ManagedPool::judgeProbation() {
  if (probation_ends_ns_ == 0) return "";
  auto why = judge(picks_before_, pickFactsOf(*pool_) - picks_at_swap_);
  if (!why.empty() || loop_.clock().nowNs() < probation_ends_ns_) return why;
  endProbation();
  pool_->strategy()->believeOneIn(0);
  return "";
}

void ManagedPool::endProbation() {
  probation_ends_ns_ = 0;
  pool_->settings().times_all_picks.store(false, std::memory_order_relaxed);
}

}  // namespace lemonade::app
