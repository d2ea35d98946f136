// SPDX-License-Identifier: MIT
//
// What operators change of backends while it runs, without the file: read on the thread of the admin listener, carried
// out on the control thread.
#include "app/load_balancer.h"
#include "app/managed_pool.h"
#include "app/order.h"
#include "app/overrides.h"
#include "app/pool_set.h"
#include "balance/pool.h"
#include "base/log.h"
#include "config/duration.h"
#include "observe/status.h"

#include <chrono>
#include <utility>

namespace lemonade::app {

namespace {

constexpr const char* kUntilReload = "until the next reload of the file";

/// "weight 5", "drain".
std::string wordsOf(const Override& one) {
  return std::string(nameOf(one.action)) + (hasValue(one.action) ? " " + std::to_string(one.value) : "");
}

std::string untilOf(const Order& order) {
  return order.lasting == Duration::zero() ? kUntilReload : "for " + config::durationText(order.lasting);
}

const char* wordsOf(EndedOverride::Why why) {
  switch (why) {
    case EndedOverride::Why::kOver:
      return "its time has passed";
    case EndedOverride::Why::kTakenBack:
      return "it was taken back";
    case EndedOverride::Why::kReload:
      return "a reload of the file was applied";
    case EndedOverride::Why::kGone:
      break;
  }
  return "the configuration has no such backend any more";
}

/// What is so now, for the one who asked.
std::string textOf(const Order& order, const Backend& backend, std::size_t taken, Duration drain) {
  if (!order.wanted) {
    const std::string what = taken == 0 ? "nothing was overridden" : "as configured again";
    return backend.id() + ": " + what +
           (backend.settings().enabled ? "" : ", and the configuration has enabled = false");
  }
  std::string text = backend.id() + ": " + wordsOf(*order.wanted) + ", " + untilOf(order);
  if (order.wanted->action == Override::Action::kDrain)
    text += "; sessions that are left after " + config::durationText(drain) + " are closed";
  return text;
}

std::string placeOf(const Backend& backend) {
  const auto& source = backend.settings().source;
  return source.file.empty() ? "the table of backend " + backend.id()
                             : "the table of backend " + backend.id() + ", " + source.text();
}

}  // namespace

void LoadBalancer::control(const admin::Request& request, const admin::Answer& answer) {
  if (stopping()) return answer(admin::errorResponse(503, stageText()));
  if (isWhy(request.path)) return beginWhy(request, answer);
  auto read = orderIn(request);
  if (auto* refusal = std::get_if<admin::Response>(&read)) return answer(std::move(*refusal));
  loop_.post([this, order = std::get<Order>(std::move(read)), by = request.by, answer] {
    answer(stopping() ? admin::errorResponse(503, stageText()) : carryOut(order, by));
  });
}

admin::Response LoadBalancer::carryOut(const Order& order, const std::string& by) {
  std::shared_ptr<ManagedPool> pool;
  std::vector<std::string> names;
  for (const auto& one : pools_->configured()) {
    names.push_back(one->name());
    if (one->name() == order.pool) pool = one;
  }
  if (pool == nullptr) return unknown("pool", order.pool, names);
  auto found = backendCalled(order.backend, *pool->pool().backends(), pool->name());
  if (auto* refusal = std::get_if<admin::Response>(&found)) return std::move(*refusal);
  const auto backend = std::get<std::shared_ptr<Backend>>(std::move(found));

  ChangeStatus change;
  if (order.wanted) {
    Override wanted = *order.wanted;
    wanted.by = by;
    wanted = pool->change(backend, std::move(wanted), order.lasting);
    noteOverride(*backend, wanted, untilOf(order));
    const bool weight = wanted.action == Override::Action::kWeight;
    change.made = {std::move(wanted), weight ? backend->settings().weight : backend->settings().max_connections};
  } else {
    change.taken_back = pool->takeBack(*backend);
    log::info("app", "what was overridden of a backend is taken back",
              {{"backend", backend->id()},
               {"address", backend->addressText()},
               {"overrides", change.taken_back},
               {"by", by},
               {"pool", pool->name()}});
  }
  change.text = textOf(order, *backend, change.taken_back, config_.runtime.drain_timeout);
  if (order.persist) {
    change.persist_line = lineOf(order);
    change.persist_place = placeOf(*backend);
  }
  return {.body = changeJson(collectBackend(*backend, *recent_, nowNs()), change)};
}

void LoadBalancer::noteOverride(const Backend& backend, const Override& made, const std::string& until) {
  log::info("app", "a backend is overridden",
            {{"backend", backend.id()},
             {"address", backend.addressText()},
             {"override", wordsOf(made)},
             {"until", until},
             {"by", made.by},
             {"pool", backend.pool()}});
  happened({.kind = EventKind::kOverrideSet,
            .text = backend.id() + ": " + wordsOf(made) + ", " + until,
            .pool = backend.pool(),
            .backend = backend.id(),
            .fields = {{"address", backend.addressText()},
                       {"action", nameOf(made.action)},
                       {"value", hasValue(made.action) ? std::to_string(made.value) : ""},
                       {"until", until},
                       {"by", made.by}}});
}

void LoadBalancer::overrideEnded(const EndedOverride& ended) {
  const std::string line = (ended.pool == Backend::kDefaultPool ? "" : "pool " + ended.pool + ": ") + "backend " +
                           ended.backend + ": " + wordsOf(ended.was) + " is over, " + wordsOf(ended.why);
  const bool by_reload = ended.why == EndedOverride::Why::kReload || ended.why == EndedOverride::Why::kGone;
  if (by_reload) ended_overrides_.push_back(line);
  log::info("app", "an override has ended",
            {{"backend", ended.backend},
             {"address", ended.address},
             {"override", wordsOf(ended.was)},
             {"reason", wordsOf(ended.why)},
             {"by", ended.was.by},
             {"pool", ended.pool}});
  happened({.kind = EventKind::kOverrideEnded,
            .text = ended.backend + ": " + wordsOf(ended.was) + " is over, " + wordsOf(ended.why),
            .pool = ended.pool,
            .backend = ended.backend,
            .fields = {{"address", ended.address}, {"action", nameOf(ended.was.action)}, {"by", ended.was.by}}});
}

// A reload makes the balancer what the file says.
std::vector<std::string> LoadBalancer::endOverrides(bool publish) {
  ended_overrides_.clear();
  for (const auto& pool : pools_->configured()) publish ? pool->endOverridesNow() : pool->endOverrides();
  return std::exchange(ended_overrides_, {});
}

}  // namespace lemonade::app
