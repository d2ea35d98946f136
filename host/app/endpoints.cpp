// SPDX-License-Identifier: MIT
#include "app/endpoints.h"

#include "config/host_port.h"

#include <algorithm>
#include <set>

namespace lemonade::app {

namespace {

constexpr std::uint64_t kMaxWeight = 65'535;
constexpr std::size_t kMostShown = 16;

config::Backend combined(config::Backend backend, const Target& target) {
  if (!config::isService(backend.host)) return backend;
  backend.host = target.host;
  backend.port = target.port;
  backend.priority += target.priority;
  const std::uint64_t weight = std::uint64_t{backend.weight} * std::max<std::uint64_t>(target.weight, 1);
  backend.weight = static_cast<std::uint32_t>(std::min(weight, kMaxWeight));
  return backend;
}

const Target* find(const std::vector<Target>& targets, const Target& like) {
  const auto found = std::find_if(targets.begin(), targets.end(),
                                  [&](const auto& one) { return one.host == like.host && one.port == like.port; });
  return found == targets.end() ? nullptr : &*found;
}

/// Adds items to a text up to kMostShown of them.
class Shortened {
 public:
  void add(const std::string& item, const char* between) {
    if (++count_ <= kMostShown) text_ += (text_.empty() ? "" : between) + item;
  }
  std::string take() && {
    if (count_ > kMostShown) text_ += " and " + std::to_string(count_ - kMostShown) + " more";
    return std::move(text_);
  }

 private:
  std::string text_;
  std::size_t count_ = 0;
};

std::string textOf(const std::vector<Address>& addresses) {
  Shortened text;
  for (const auto& address : addresses) {
    const std::string one = address.text();
    text.add(one.substr(0, one.rfind(':')), ",");
  }
  return std::move(text).take();
}

}  // namespace

std::vector<Endpoint> endpoints(const config::Backend& configured, const std::vector<Target>& targets) {
  std::vector<Endpoint> all;
  std::set<Address> taken;  // two hosts of a service may be the same machine
  for (const auto& target : targets) {
    const auto backend = combined(configured, target);
    for (auto address : target.addresses) {
      address.setPort(backend.port);
      if (taken.insert(address).second) all.push_back({backend, address});
    }
    if (target.addresses.empty()) all.push_back({backend, {}});
  }
  if (all.empty()) all.push_back({configured, {}});
  return all;
}

std::vector<Target> updated(const std::vector<Target>& known, std::vector<Target> answer) {
  for (auto& target : answer) {
    const auto unlearnt = std::exchange(target.unlearnt, {});
    const Target* before = unlearnt.empty() ? nullptr : find(known, target);
    if (before == nullptr) continue;
    for (const auto& address : before->addresses)
      if (std::find(unlearnt.begin(), unlearnt.end(), address.family()) != unlearnt.end())
        target.addresses.push_back(address);
    std::sort(target.addresses.begin(), target.addresses.end());
  }
  return answer;
}

std::string textOf(const std::vector<Target>& targets) {
  Shortened text;
  for (const auto& target : targets) {
    auto addresses = textOf(target.addresses);
    if (target.port == 0) return addresses;
    text.add(config::addressText(target.host, target.port) + " " + (addresses.empty() ? "unresolved" : addresses) +
                 " priority " + std::to_string(target.priority) + " weight " + std::to_string(target.weight),
             "; ");
  }
  return std::move(text).take();
}

}  // namespace lemonade::app
