// SPDX-License-Identifier: MIT
//
// The keys of a backend.
#include "config/host_port.h"
#include "config/keys.h"
#include "config/limits.h"
#include "config/values.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace lemonade::config {
namespace {

constexpr std::uint32_t kMaxWeight = 65'535;
constexpr std::uint32_t kMaxPriority = 255;

void readId(const Item& item, Backend& backend) {
  if (const auto number = item.integer()) {
    backend.id = std::to_string(*number);
  } else if (auto text = textOf(item, "give an integer or a string that is not empty")) {
    backend.id = std::move(*text);
  }
}

void readName(const Item& item, Backend& backend) {
  if (auto text = textOf(item, "give a string that is not empty")) backend.name = std::move(*text);
}

std::string addressOf(const Backend& backend) { return addressText(backend.host, backend.port); }

void readAddress(const Item& item, Backend& backend) {
  backend.address_source = item.source;
  const auto text = textOf(item, "give \"host:port\", \"unix:/path\" or \"srv:_service._tcp.name\"");
  if (!text) return;
  auto address = parseBackendAddress(*text);
  if (!address.ok()) return item.refuse(address.error().message);
  backend.host = std::move(address.value().host);
  backend.port = address.value().port;
}

void readLabels(const Item& item, Backend& backend) {
  if (!item.isTable()) return item.refuse("give a table of strings, such as {role = \"primary\"}");
  std::map<std::string, std::string> labels;
  item.eachEntry([&labels](const std::string& name, const Item& label) {
    if (name.empty()) return label.refuse("give the label a name");
    if (auto text = textOf(label, "give a string that is not empty")) labels[name] = std::move(*text);
  });
  backend.labels = std::move(labels);
}

/// Compared whole, and shown without their values, which may be secrets.
Value<Backend> backendOptions() {
  auto value = valueOf<Backend>(
      "table", "as the strategy declares", Form::kText, [](const Backend& backend) { return show(backend.options); },
      [](const Item& item, Backend& backend) { backend.options = optionsOf(item); });
  value.same = [](const Backend& a, const Backend& b) { return sameChoice({"", {}, a.options}, {"", {}, b.options}); };
  value.special = [same = value.same](const std::string& name, const Backend& before, const Backend& after) {
    return same(before, after) ? Value<Backend>::Lines{} : Value<Backend>::Lines{name + " changed"};
  };
  return value;
}

std::vector<Key<Backend>> makeBackendKeys() {
  using K = Key<Backend>;
  return {
      K("id", valueOf<Backend>("integer or string", "unique, not empty", Form::kText, &Backend::id, readId),
        "integer or string; unique; statistics follow it. Default: name, else address",
        "what statistics and health belong to, also across reloads")
          .fallback("the name, else the address")
          .example("\"web-1\""),
      K("name", valueOf<Backend>("string", "not empty", Form::kText, &Backend::name, readName),
        "for people. Default: the id", "for people: logs, metrics, status")
          .fallback("the id")
          .example("\"web-1\""),
      K("address",
        valueOf<Backend>("string",
                         R"(`"host:port"`, `"[v6]:port"`, port 1 to 65535; )"
                         R"(`"unix:/path"`; `"srv:_service._tcp.name"`; [many alike](#many-backends-alike))",
                         Form::kText, addressOf, readAddress),
        R"("host:port", "[v6]:port", "unix:/path", "srv:_service._tcp.name"; names are resolved, and again as they )"
        R"(change; )"
        R"("10.0.1.[10-19]:8080" is ten backends; the keys below count for each address)",
        "where the backend listens; names are resolved, and again as they change. A name with several addresses, or a "
        "service, is [several backends](health-checks.md#backends-that-are-names) under one id")
          .fallback("required")
          .example("\"127.0.0.1:8081\""),
      K("weight", integer(&Backend::weight, 0, kMaxWeight), "share of connections; 0 = none",
        "its share of connections; 0 means none. It counts for each address of a name, so a machine with an IPv4 and "
        "an "
        "IPv6 address has two shares; of a service it multiplies the weights of the records"),
      K("max_connections", integer(&Backend::max_connections, 0, kMaxConnections), "connections at once; 0 = no limit",
        "connections at once; 0 means no limit. It counts for each address of a name: a machine with two gets up to "
        "twice as many. Give one address where the limit is meant for the machine"),
      K("enabled", boolean(&Backend::enabled), "false takes it out; its live connections finish",
        "false takes it out of service; live connections finish"),
      K("priority", integer(&Backend::priority, 0, kMaxPriority),
        "its tier; higher ones serve only what the lower ones cannot",
        "its tier: backends of a higher number stand by, and serve only what no backend of a lower one can. The "
        "priorities in the records of a service are added to it"),
      K("zone", zone(&Backend::zone), "where it runs; strategies may prefer the balancer's own; \"\" = not known",
        "where it runs. Strategies see it, and with `zone_aware` prefer backends of [the balancer's own "
        "zone](balancing.md#zones)"),
      K("labels", valueOf<Backend>("table of strings", "", Form::kText, &Backend::labels, readLabels), "",
        "what strategies of yours want to know of it, such as `{role = \"primary\"}`")
          .fallback("`{}`"),
      K("options", backendOptions(), "",
        "what the strategy takes for each backend. Those that come along take none; what the strategy does not take is "
        "an error")
          .fallback("`{}`"),
  };
}

}  // namespace

const std::vector<Key<Backend>>& backendKeys() {
  static const auto& keys = *new std::vector<Key<Backend>>(makeBackendKeys());
  return keys;
}

}  // namespace lemonade::config
