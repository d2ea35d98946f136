// SPDX-License-Identifier: MIT
#include "app/order.h"

#include "admin/target.h"
#include "base/json.h"
#include "base/log_line.h"
#include "config/keys.h"
#include "config/nearest.h"
#include "config/tree.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string_view>
#include <utility>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;

constexpr std::string_view kPools = "/api/v1/pools/";
constexpr std::string_view kBackends = "/backends/";
constexpr const char* kEnable = "enable";
constexpr Duration kShortest = 10ms;
constexpr Duration kLongest = std::chrono::hours(24 * 30);
constexpr std::size_t kLongestHint = 1'000;

using Parameters = std::map<std::string, std::string>;

admin::Response bad(const std::string& message) { return admin::errorResponse(400, message); }

/// The parts of the path, or nothing. An address may hold slashes, the others do not.
std::optional<std::array<std::string, 3>> partsOf(const std::string& path) {
  if (!path.starts_with(kPools)) return std::nullopt;
  const auto pool_end = path.find('/', kPools.size());
  if (pool_end == std::string::npos || path.compare(pool_end, kBackends.size(), kBackends) != 0) return std::nullopt;
  const auto backend = pool_end + kBackends.size();
  const auto last = path.rfind('/');
  if (last <= backend) return std::nullopt;
  return std::array{path.substr(kPools.size(), pool_end - kPools.size()), path.substr(backend, last - backend),
                    path.substr(last + 1)};
}

/// What a reader of the configuration finds wrong with a text; "" where it is nothing.
template <class Read>
std::string problemOf(const std::string& name, const std::string& text, config::Form form, Read read) {
  config::Findings findings;
  const auto node = config::nodeOf(form, text);
  read(config::Item{name, *node, {"query", 0, 0}, findings});
  const auto found = std::move(findings).take();
  return found.empty() ? "" : found.front().text;
}

/// The value of a weight or a limit by the same rules as in a file.
std::string readValue(const std::string& text, Override& wanted) {
  const std::string name = nameOf(wanted.action);
  const auto& keys = config::backendKeys();
  const auto key = std::find_if(keys.begin(), keys.end(), [&](const auto& one) { return one.name == name; });
  config::Backend backend;
  auto problem = problemOf(name, text, key->facts.form, [&](const auto& item) { key->read(item, backend); });
  wanted.value = wanted.action == Override::Action::kWeight ? backend.weight : backend.max_connections;
  return problem;
}

std::string rangeOf(Override::Action action) {
  for (const auto& key : config::backendKeys())
    if (key.name == nameOf(action)) return key.facts.range;
  return "";
}

std::optional<admin::Response> readParameters(const Parameters& parameters, const std::string& action, Order& order) {
  const bool takes_value = order.wanted && hasValue(order.wanted->action);
  std::vector<std::string> known{"persist"};
  if (order.wanted) known.emplace_back("for");
  if (takes_value) known.emplace_back("value");
  for (const auto& [name, text] : parameters) {
    std::string problem;
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      problem = action + " takes no parameter \"" + name + "\"; " + config::suggestion(name, known);
    } else if (name == "value") {
      problem = readValue(text, *order.wanted);
    } else if (name == "for") {
      problem = problemOf(name, text, config::Form::kNumber, [&](const auto& item) {
        if (const auto lasting = config::durationOf(item, kShortest, kLongest)) order.lasting = *lasting;
      });
    } else {
      order.persist = text == "true";
      if (text != "true" && text != "false") problem = "persist is \"" + text + "\"; give true or false";
    }
    if (!problem.empty()) return bad(problem);
  }
  if (takes_value && !parameters.contains("value"))
    return bad(action + " needs a value: give ?value=N, an integer of " + rangeOf(order.wanted->action));
  return std::nullopt;
}

std::string describe(const Backend& backend) {
  return backend.id() + " at " + backend.addressText() +
         (backend.name() == backend.id() ? "" : ", named " + backend.name());
}

admin::Response ambiguous(const std::string& called, const View::Backends& candidates) {
  Text text;
  rapidjson::PrettyWriter<Text, rapidjson::UTF8<>, rapidjson::UTF8<>, ThrowingAllocator> json(text);
  json.StartObject();
  json.Key("error");
  json.String(log::validUtf8("\"" + called + "\" is several backends; name one by its address").c_str());
  json.Key("candidates");
  json.StartArray();
  for (const auto& backend : candidates) json.String(log::validUtf8(describe(*backend)).c_str());
  json.EndArray();
  json.EndObject();
  return {.status = 409, .body = std::move(text.text) + "\n"};
}

}  // namespace

admin::Response unknown(const std::string& what, const std::string& called, const std::vector<std::string>& known,
                        const std::string& where) {
  std::string hint = known.empty() ? "there is none" : config::suggestion(called, known);
  if (hint.size() > kLongestHint) hint = hint.substr(0, kLongestHint) + " ...";
  return admin::errorResponse(404, "there is no " + what + " \"" + called + "\"" + where + "; " + hint);
}

std::variant<Order, admin::Response> orderIn(const admin::Request& request) {
  const auto parts = partsOf(request.path);
  if (!parts)
    return admin::errorResponse(
        404, "there is no " + request.path + " here; it is /api/v1/pools/POOL/backends/BACKEND/ACTION");
  const auto& [pool, backend, action] = *parts;
  std::vector<std::string> actions(kOverrideActions.begin(), kOverrideActions.end());
  const auto found = std::find(actions.begin(), actions.end(), action);
  Order order{pool, backend, std::nullopt, {}, false};
  if (found != actions.end()) {
    order.wanted.emplace().action = static_cast<Override::Action>(found - actions.begin());
  } else if (action != kEnable) {
    actions.emplace_back(kEnable);
    return unknown("action", action, actions);
  }
  const auto parameters = admin::parseQuery(request.query);
  if (!parameters) return bad("the query is encoded wrongly");
  if (auto refusal = readParameters(*parameters, action, order)) return std::move(*refusal);
  return order;
}

std::variant<std::shared_ptr<Backend>, admin::Response> backendCalled(const std::string& called,
                                                                      const View::Backends& backends,
                                                                      const std::string& pool) {
  using Name = std::string (*)(const Backend&);
  constexpr Name kNames[] = {[](const Backend& backend) { return backend.id(); },
                             [](const Backend& backend) { return backend.name(); },
                             [](const Backend& backend) { return backend.addressText(); }};
  for (const auto name : kNames) {
    View::Backends candidates;
    for (const auto& backend : backends)
      if (name(*backend) == called) candidates.push_back(backend);
    if (candidates.size() == 1) return candidates.front();
    if (candidates.size() > 1) return ambiguous(called, candidates);
  }
  std::set<std::string> known;
  for (const auto& backend : backends)
    for (const auto name : kNames) known.insert(name(*backend));
  return unknown("backend", called, {known.begin(), known.end()}, " in pool \"" + pool + "\"");
}

std::string lineOf(const Order& order) {
  if (!order.wanted) return "enabled = true";
  if (!hasValue(order.wanted->action)) return "enabled = false";
  return std::string(nameOf(order.wanted->action)) + " = " + std::to_string(order.wanted->value);
}

}  // namespace lemonade::app
