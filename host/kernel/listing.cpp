// SPDX-License-Identifier: MIT
#include "kernel/listing.h"

#include "base/json.h"
#include "kernel/marks.h"

#include <charconv>
#include <utility>

namespace lemonade::kernel {

namespace {

constexpr std::size_t kIdentityDigits = 16;

/// A map to chains of listeners.
struct Entrances {
  const char* map;
  const char* any_host;  ///< that its ports are of; null where it has whole addresses
};
constexpr Entrances kEntrances[] = {
    {kEntrances4, nullptr},
    {kEntrances6, nullptr},
    {kEntrancePorts4, "0.0.0.0"},
    {kEntrancePorts6, "::"},
};

/// The member of an object; null where there is none.
const JsonValue* member(const JsonValue& value, const char* name) {
  if (!value.IsObject()) return nullptr;
  const auto found = value.FindMember(name);
  return found == value.MemberEnd() ? nullptr : &found->value;
}

std::string_view textOf(const JsonValue* value) {
  if (value == nullptr || !value->IsString()) return {};
  return {value->GetString(), value->GetStringLength()};
}

std::string text(const JsonValue& value, const char* name) { return std::string(textOf(member(value, name))); }

/// Calls visit with the kind and the value of each thing that is listed.
template <class Visit>
Status forEach(std::string_view json, Visit visit) {
  JsonDocument document;
  document.Parse(json.data(), json.size());
  const JsonValue* things = document.HasParseError() ? nullptr : member(document, "nftables");
  if (things == nullptr || !things->IsArray()) return Error{"nft listed what is no JSON of nftables"};
  for (const auto& thing : things->GetArray()) {
    if (!thing.IsObject()) continue;
    for (const auto& one : thing.GetObject()) visit(textOf(&one.name), one.value);
  }
  return success();
}

std::optional<std::uint16_t> readPort(const JsonValue& value) {
  if (!value.IsUint() || value.GetUint() > 65'535) return std::nullopt;
  return static_cast<std::uint16_t>(value.GetUint());
}

/// {"concat": ["10.0.0.1", 80]}.
std::optional<Address> readAddress(const JsonValue& value) {
  const JsonValue* parts = member(value, "concat");
  if (parts == nullptr || !parts->IsArray() || parts->Size() != 2) return std::nullopt;
  const auto& host = (*parts)[0];
  const auto port = readPort((*parts)[1]);
  if (!host.IsString() || !port) return std::nullopt;
  return Address::parse(host.GetString(), *port);
}

/// "0123456789abcdef pool/id".
void readComment(std::string_view comment, TablePlan::Backend& backend) {
  const auto* begin = comment.data();
  const auto* end = begin + std::min(comment.size(), kIdentityDigits);
  const auto read = std::from_chars(begin, end, backend.identity, 16);
  if (read.ec != std::errc() || read.ptr != begin + kIdentityDigits)
    backend.identity = 0;
  else if (comment.size() > kIdentityDigits)
    backend.name = comment.substr(kIdentityDigits + 1);
}

/// [mark or {"elem": {"val": mark, "comment": ...}}, address].
void readBackend(const JsonValue& pair, Listing& listing) {
  const JsonValue* element = member(pair[0], "elem");
  const JsonValue* mark = element == nullptr ? &pair[0] : member(*element, "val");
  const auto address = readAddress(pair[1]);
  if (mark == nullptr || !mark->IsUint() || !address) return;
  TablePlan::Backend backend{slotOf(mark->GetUint()), *address};
  if (element != nullptr) readComment(textOf(member(*element, "comment")), backend);
  listing.tag = tagOf(mark->GetUint());
  listing.backends.push_back(std::move(backend));
}

/// {"goto": {"target": "listener_1"}}.
bool leadsToListener(const JsonValue& verdict) {
  const JsonValue* chain = member(verdict, "goto");
  return chain != nullptr && textOf(member(*chain, "target")).starts_with(kListenerChain);
}

/// [address or, of those of any host, port, verdict].
void readEntrance(const JsonValue& pair, const char* any_host, Listing& listing) {
  if (!leadsToListener(pair[1])) return;
  std::optional<Address> address;
  if (any_host == nullptr)
    address = readAddress(pair[0]);
  else if (const auto port = readPort(pair[0]))
    address = Address::parse(any_host, *port);
  if (address) listing.entrances.push_back(*address);
}

/// Calls visit with each key and what it is mapped to, an array of two.
template <class Visit>
void forEachPair(const JsonValue& map, Visit visit) {
  const JsonValue* elements = member(map, "elem");
  if (elements == nullptr || !elements->IsArray()) return;
  for (const auto& pair : elements->GetArray())
    if (pair.IsArray() && pair.Size() == 2) visit(pair);
}

void readMap(const JsonValue& map, std::string_view name, Listing& listing) {
  if (name == kBackends4 || name == kBackends6)
    forEachPair(map, [&](const JsonValue& pair) { readBackend(pair, listing); });
  for (const auto& [of, any_host] : kEntrances)
    if (name == of)
      forEachPair(map, [&, host = any_host](const JsonValue& pair) { readEntrance(pair, host, listing); });
}

/// The tag of a table without backends: that of the mark which is refused.
void readRefusal(const JsonValue& rule, Listing& listing) {
  const JsonValue* parts = member(rule, "expr");
  if (listing.tag || text(rule, "chain") != kRefusalChain || parts == nullptr || !parts->IsArray()) return;
  for (const auto& part : parts->GetArray()) {
    const JsonValue* match = member(part, "match");
    const JsonValue* right = match == nullptr ? nullptr : member(*match, "right");
    if (right != nullptr && right->IsUint() && slotOf(right->GetUint()) == kSlotMask)
      listing.tag = tagOf(right->GetUint());
  }
}

}  // namespace

Result<Listing> readTable(std::string_view json) {
  Listing listing;
  auto read = forEach(json, [&](std::string_view kind, const JsonValue& value) {
    const std::string name = text(value, "name");
    if (kind == "chain") listing.outline.chains.insert(name);
    if (kind == "set") listing.outline.sets.insert(name);
    if (kind == "map") listing.outline.maps.insert(name);
    if (kind == "ct timeout") listing.outline.idle_timeouts.insert(name);
    if (kind == "map") readMap(value, name, listing);
    if (kind == "rule") readRefusal(value, listing);
  });
  if (!read) return std::move(read).error();
  return listing;
}

Result<bool> hasTable(std::string_view json, std::string_view name) {
  bool found = false;
  auto read = forEach(json, [&](std::string_view kind, const JsonValue& value) {
    found = found || (kind == "table" && text(value, "family") == "inet" && text(value, "name") == name);
  });
  if (!read) return std::move(read).error();
  return found;
}

Result<std::vector<DroppingChain>> readDroppingChains(std::string_view json) {
  std::vector<DroppingChain> chains;
  auto read = forEach(json, [&](std::string_view kind, const JsonValue& value) {
    if (kind == "chain" && text(value, "hook") == "forward" && text(value, "policy") == "drop")
      chains.push_back({text(value, "family"), text(value, "table"), text(value, "name")});
  });
  if (!read) return std::move(read).error();
  return chains;
}

}  // namespace lemonade::kernel
