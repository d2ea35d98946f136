// SPDX-License-Identifier: MIT
#include "observe/picks.h"

#include "base/log_line.h"
#include "observe/json_writer.h"

#include <lemonade/strategy.h>

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <unordered_map>
#include <utility>

namespace lemonade {

namespace {

using ByIdentity = std::unordered_map<std::uint64_t, const Backend*>;

/// "192.0.2.1:5000", "[2001:db8::1]:5000", "unix".
std::string clientOf(const PickRecord& pick) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const std::string port = ":" + std::to_string(pick.client_port);
  switch (pick.client_family) {
    case LEMONADE_FAMILY_IPV4:
      ::inet_ntop(AF_INET, pick.client_address + 12, text.data(), text.size());
      return text.data() + port;
    case LEMONADE_FAMILY_IPV6:
      ::inet_ntop(AF_INET6, pick.client_address, text.data(), text.size());
      return "[" + std::string(text.data()) + "]" + port;
    case LEMONADE_FAMILY_UNIX:
      return "unix";
    default:
      return "";
  }
}

const char* answerOf(const PickRecord& pick) noexcept {
  if (pick.answer == LEMONADE_PICK_NONE) return "none";
  return pick.answer == LEMONADE_PICK_REJECT ? "reject" : "backend";
}

void setNames(Json& json, std::uint64_t identity, const ByIdentity& by_identity) {
  const auto found = by_identity.find(identity);
  setText(json, "id", found == by_identity.end() ? std::to_string(identity) : found->second->id());
  setText(json, "address", found == by_identity.end() ? "" : found->second->addressText());
}

void addSeen(Json& json, const SeenBackend& one, const PickRecord& pick, const ByIdentity& by_identity) {
  json.object([&] {
    setNames(json, one.identity, by_identity);
    json.set("picked", one.identity == pick.identity);
    json.set("eligible", one.eligible);
    json.set("tried", one.tried);
    json.set("weight", one.weight);
    json.set("effective_weight", one.effective_weight / 1000.0);
    json.set("max_connections", one.max_connections);
    json.set("active", one.stats.active);
    json.set("waiting", one.stats.waiting);
    json.set("quiet", one.stats.quiet);
    json.set("exchange_ms", one.stats.exchange_ewma_ns / 1e6);
    json.set("connect_ms", one.stats.connect_ewma_ns / 1e6);
    json.set("mean_wait_ms", static_cast<double>(one.mean_wait_ns) / 1e6);
    json.set("error_share", static_cast<double>(one.stats.error_rate));
    json.set("failures_in_a_row", one.stats.fail_streak);
  });
}

void addPick(Json& json, const PickRecord& pick, const PicksStatus& picks, const ByIdentity& by_identity) {
  json.object([&] {
    setTime(json, "time", pick.now_ns + picks.unix_offset_ns);
    setText(json, "client", clientOf(pick));
    json.set("worker", pick.worker);
    json.set("attempt", pick.attempt);
    json.set("priority", pick.priority);
    json.set("view", pick.view);
    json.set("answer", std::string_view(answerOf(pick)));
    if (pick.identity != 0)
      json.object("backend", [&] { setNames(json, pick.identity, by_identity); });
    else
      json.setNull("backend");
    setText(json, "reason", log::validUtf8(std::string(pick.reason())));  // a plugin's
    const std::span seen(pick.seen.data(), pick.backends);
    json.array("backends", seen, [&](const SeenBackend& one) { addSeen(json, one, pick, by_identity); });
    json.set("backends_left_out", pick.backends_of_all - pick.backends);
  });
}

}  // namespace

std::string picksJson(const PicksStatus& picks) {
  ByIdentity by_identity;
  for (const auto& backend : picks.backends) by_identity[backend->identity()] = backend.get();
  Text text;
  Json json(text);
  json.object([&] {
    setText(json, "pool", picks.pool);
    setText(json, "strategy", picks.strategy);
    json.set("recording", picks.recording);
    setTime(json, "until", picks.until_unix_ns);
    json.array("picks", picks.records, [&](const PickRecord& pick) { addPick(json, pick, picks, by_identity); });
  });
  text.text += '\n';
  return std::move(text.text);
}

}  // namespace lemonade
