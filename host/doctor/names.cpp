// SPDX-License-Identifier: MIT
#include "doctor/names.h"

#include "config/host_port.h"
#include "doctor/in_words.h"
#include "doctor/patient.h"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>

namespace lemonade::doctor {

namespace {

constexpr Duration kSlowAnswer = std::chrono::seconds(1);
constexpr const char* kNamesTopic = "names";

bool isAddress(const std::string& host) { return Address::parse(host, 0).has_value(); }

/// "10.0.0.1, 10.0.0.2", of a service "a.example:80 (10.0.0.1)".
std::string targetsOf(const Resolution& resolution) {
  std::string text;
  for (const auto& target : resolution.targets) {
    std::string addresses;
    for (auto address : target.addresses) {
      address.setPort(0);
      std::string one = address.text();
      one.resize(one.size() - 2);  // without its port, ":0"
      addresses += (addresses.empty() ? "" : ", ") + one;
    }
    if (target.port != 0) addresses = config::addressText(target.host, target.port) + " (" + addresses + ")";
    text += (text.empty() ? "" : ", ") + addresses;
  }
  return text;
}

Finding judge(const std::string& name, const std::string& key, const Answers& answers) {
  const std::string plain = config::isService(name) ? name.substr(config::kServicePrefix.size()) : name;
  const std::string ask = (config::isService(name) ? "getent or dig SRV " : "getent ahosts ") + plain +
                          " shows what this machine knows; correct the name, or the servers in /etc/resolv.conf";
  const auto found = answers.find(name);
  if (found == answers.end())
    return {Level::kProblem, kNamesTopic, "name \"" + name + "\" has no answer in time: no name server says anything",
            key, ask};
  const auto& [resolution, took] = found->second;
  if (!resolution.ok()) return {Level::kProblem, kNamesTopic, resolution.error, key, ask};
  const std::string what = name + " leads to " + targetsOf(resolution) + ", after " + inWords(took);
  if (!resolution.left_out.empty())
    return {Level::kWarning, kNamesTopic, what + "; not used are " + resolution.left_out, key, ask};
  if (took >= kSlowAnswer)
    return {Level::kWarning, kNamesTopic, what + ": that is slow", key,
            "the first of the servers in /etc/resolv.conf may be silent"};
  return {Level::kOk, kNamesTopic, what, key};
}

}  // namespace

Answers resolveNames(const config::Config& config, ControlLoop& loop, Resolver& resolver, std::uint64_t deadline_ns) {
  std::set<std::string> names;
  for (const auto& pool : config.pools)
    for (const auto& backend : pool.backends) names.insert(backend.host);
  struct Shared {
    std::mutex mutex;
    std::condition_variable arrived;
    Answers answers;
  };
  // Shared with the callbacks: one that comes late finds it still there.
  const auto shared = std::make_shared<Shared>();
  const std::uint64_t began_ns = nowNs();
  loop.run([&] {
    for (const auto& name : names)
      resolver.resolve(name, [shared, name, began_ns](const Resolution& resolution) {
        const std::lock_guard lock(shared->mutex);
        shared->answers[name] = {resolution, Duration(static_cast<Duration::rep>(nowNs() - began_ns))};
        shared->arrived.notify_one();
      });
  });
  std::unique_lock lock(shared->mutex);
  shared->arrived.wait_for(lock, leftUntil(deadline_ns), [&] { return shared->answers.size() == names.size(); });
  return shared->answers;
}

Findings judgeNames(const config::Config& config, const Answers& answers) {
  Findings findings;
  std::set<std::string> told;
  for (const auto& pool : config.pools)
    for (const auto& backend : pool.backends) {
      if (isAddress(backend.host) || !told.insert(backend.host).second) continue;
      Patient patient;
      patient.pool = &pool;
      patient.backend = backend;
      findings.push_back(judge(backend.host, patient.key(), answers));
    }
  return findings;
}

}  // namespace lemonade::doctor
