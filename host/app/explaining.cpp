// SPDX-License-Identifier: MIT
//
// Why backends are picked: the last picks of a pool, written down for as long as an operator asks. Any thread, but for
// what is posted.
#include "admin/target.h"
#include "app/load_balancer.h"
#include "app/managed_pool.h"
#include "app/order.h"
#include "app/pick_watch.h"
#include "app/pool_set.h"
#include "balance/pool.h"
#include "base/log.h"
#include "config/duration.h"
#include "observe/picks.h"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;

constexpr std::string_view kPoolsPath = "/api/v1/pools/";
constexpr std::string_view kWhyPath = "/why";
constexpr Duration kUsualLook = 5s;
constexpr Duration kShortestLook = 100ms;
constexpr Duration kLongestLook = 60s;

/// The pool of /api/v1/pools/POOL/why; nothing where the path is another.
std::optional<std::string> poolOfWhy(const std::string& path) {
  if (!path.starts_with(kPoolsPath) || !path.ends_with(kWhyPath)) return std::nullopt;
  if (path.size() <= kPoolsPath.size() + kWhyPath.size()) return std::nullopt;
  const auto pool = path.substr(kPoolsPath.size(), path.size() - kPoolsPath.size() - kWhyPath.size());
  return pool.find('/') == std::string::npos ? std::optional(pool) : std::nullopt;
}

admin::Response picksOf(ManagedPool& pool) {
  auto seen = pool.pickWatch().seen();
  PicksStatus picks;
  picks.pool = pool.name();
  picks.strategy = std::move(seen.strategy);
  picks.recording = seen.recording;
  picks.until_unix_ns = seen.until_unix_ns;
  picks.records = std::move(seen.records);
  picks.backends = pool.backends();
  picks.unix_offset_ns = unixNs() - nowNs();
  return {.body = picksJson(picks)};
}

}  // namespace

bool LoadBalancer::isWhy(const std::string& path) { return poolOfWhy(path).has_value(); }

std::variant<std::shared_ptr<ManagedPool>, admin::Response> LoadBalancer::poolCalled(const std::string& name) const {
  std::vector<std::string> names;
  for (const auto& pool : pools_->configured()) {
    if (pool->name() == name) return pool;
    names.push_back(pool->name());
  }
  return unknown("pool", name, names);
}

admin::Response LoadBalancer::why(const admin::Request& request) const {
  const auto name = poolOfWhy(request.path);
  if (!name) {
    const std::string known = "; there is GET /api/v1/pools/POOL/why";
    const auto order = orderIn(request);
    const auto* const no_order = std::get_if<admin::Response>(&order);
    if (no_order != nullptr && no_order->status == 404)
      return admin::errorResponse(404, "there is no " + request.path + " here" + known);
    auto refusal = admin::errorResponse(405, request.path + " does not answer GET" + known);
    refusal.headers.emplace_back("Allow", "POST");
    return refusal;
  }
  auto found = poolCalled(*name);
  if (auto* refusal = std::get_if<admin::Response>(&found)) return std::move(*refusal);
  return picksOf(*std::get<std::shared_ptr<ManagedPool>>(found));
}

void LoadBalancer::beginWhy(const admin::Request& request, const admin::Answer& answer) {
  const auto parameters = admin::parseQuery(request.query);
  if (!parameters) return answer(admin::errorResponse(400, "the query is encoded wrongly"));
  Duration lasting = kUsualLook;
  for (const auto& [parameter, text] : *parameters) {
    if (parameter != "for")
      return answer(admin::errorResponse(400, "why takes no parameter \"" + parameter + "\"; known is for"));
    const auto parsed = config::parseDuration(text);
    if (!parsed || *parsed < kShortestLook || *parsed > kLongestLook)
      return answer(admin::errorResponse(400, "for is \"" + text + "\"; give 100ms to 60s"));
    lasting = *parsed;
  }
  loop_.post([this, name = *poolOfWhy(request.path), lasting, by = request.by, answer] {
    if (stopping()) return answer(admin::errorResponse(503, stageText()));
    auto found = poolCalled(name);
    if (auto* refusal = std::get_if<admin::Response>(&found)) return answer(std::move(*refusal));
    auto& pool = *std::get<std::shared_ptr<ManagedPool>>(found);
    pool.pickWatch().begin(lasting);
    log::info("app", "picks are written down for who asks why",
              {{"pool", name}, {"for", config::durationText(lasting)}, {"by", by}});
    answer(picksOf(pool));
  });
}

}  // namespace lemonade::app
