// SPDX-License-Identifier: MIT
//
// What operators are answered of shadows, and what the metrics have of them. Any thread.
#include "admin/target.h"
#include "app/load_balancer.h"
#include "app/managed_pool.h"
#include "app/order.h"
#include "app/pool_set.h"
#include "app/shadowing.h"
#include "observe/shadows.h"

#include <algorithm>
#include <string>
#include <vector>

namespace lemonade::app {

admin::Response LoadBalancer::shadows(const admin::Request& request) const {
  const auto parameters = admin::parseQuery(request.query);
  if (!parameters) return admin::errorResponse(400, "the query is encoded wrongly");
  for (const auto& [name, value] : *parameters)
    if (name != "pool") return admin::errorResponse(400, "shadows take no parameter \"" + name + "\"; known is pool");
  const auto wanted = parameters->find("pool");
  std::vector<std::string> names;
  std::vector<ShadowStatus> all;
  for (const auto& pool : pools_->configured()) {
    names.push_back(pool->name());
    if (wanted != parameters->end() && wanted->second != pool->name()) continue;
    if (auto shadow = pool->shadowing().status()) all.push_back(std::move(*shadow));
  }
  if (wanted != parameters->end() && std::find(names.begin(), names.end(), wanted->second) == names.end())
    return unknown("pool", wanted->second, names);
  return {.body = shadowsJson(all)};
}

void LoadBalancer::addShadows(metrics::SnapshotBuilder& builder) const {
  std::vector<ShadowStatus> all;
  for (const auto& pool : pools_->configured())
    if (auto shadow = pool->shadowing().status()) all.push_back(std::move(*shadow));
  lemonade::addShadows(builder, all);
}

}  // namespace lemonade::app
