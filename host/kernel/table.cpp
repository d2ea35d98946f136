// SPDX-License-Identifier: MIT
#include "kernel/table.h"

#include "kernel/heartbeat.h"
#include "kernel/kernel_parts.h"
#include "kernel/listing.h"
#include "kernel/nft.h"
#include "kernel/queue_rule.h"
#include "kernel/script.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace lemonade::kernel {

namespace {

constexpr std::size_t kLongestTableName = 64;

Status checkName(const std::string& name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto fits = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '_'; };
  if (name.empty() || name.size() > kLongestTableName || !letter(name.front()) ||
      !std::all_of(name.begin(), name.end(), fits))
    return Error{"\"" + name +
                 "\" is no name for an nft table: letters, digits and '_', the first a letter, 64 at most"};
  return success();
}

/// What there is under the name; nothing where there is no table, an error where it is another's.
Result<std::optional<Listing>> list(const std::string& name) {
  if (auto named = checkName(name); !named) return std::move(named).error();
  const auto tables = listNft("list tables inet");
  if (!tables) return tables.error();
  const auto there = hasTable(tables.value(), name);
  if (!there) return there.error();
  if (!there.value()) return std::optional<Listing>();
  const auto json = listNft("list table inet " + name);
  if (!json) return json.error();
  auto listing = readTable(json.value());
  if (!listing) return std::move(listing).error();
  if (!isOurs(listing.value().outline))
    return Error{"the nft table inet " + name +
                 " is another's: nothing of it was changed; give kernel.table another name, or delete it (nft delete "
                 "table inet " +
                 name + ")"};
  return std::optional(std::move(listing).value());
}

bool listensOn(const TablePlan& plan, int family) {
  return std::any_of(plan.listeners.begin(), plan.listeners.end(), [&](const TablePlan::Listener& listener) {
    return std::any_of(listener.addresses.begin(), listener.addresses.end(),
                       [&](const Address& address) { return address.family() == family; });
  });
}

}  // namespace

Table::Table(std::string name) : name_(std::move(name)) {}

Status Table::check() const {
  if (auto named = checkName(name_); !named) return named;
  // What is tried gets hooks that are taken away again, and with a hook the kernel drops what waits in any queue:
  // clients of whoever has made the table.
  const auto there = list(name_);
  if (there && there.value()) return success();
  if (auto able = checkKernelParts(probeName()); !able) return able;
  if (!there) return there.error();
  if (!tryNft("add table inet " + name_ + "\n"))
    return Error{"\"" + name_ + "\" is a word of nft's own and names no table: give kernel.table another one"};
  return success();
}

Status Table::apply(const TablePlan& plan) {
  if (auto right = checkPlan(plan); !right) return right;
  if (auto named = checkName(name_); !named) return named;
  if (!queue_by_) queue_by_ = hasQueueExpression(probeName()) ? QueueBy::kNft : QueueBy::kTarget;
  Contents contents = contentsOf(plan, *queue_by_);
  const auto before = std::exchange(applied_, std::nullopt);
  const std::string script = before ? differenceScript(name_, *before, contents) : "";
  const bool changed = before && (script.empty() || runNft(script).ok());
  if (!changed) {
    queue_.reset();
    if (auto applied = applyWhole(contents); !applied) return applied;
  }
  if (auto queued = applyQueue(plan.queue); !queued) return queued;
  applied_ = std::move(contents);
  tag_ = plan.tag;
  ipv4_ = listensOn(plan, AF_INET);
  ipv6_ = listensOn(plan, AF_INET6);
  return success();
}

Status Table::applyWhole(const Contents& contents) {
  const auto existing = list(name_);
  if (!existing) return existing.error();
  if (!existing.value()) return runNft(wholeScript(name_, contents, {}));
  if (runNft(wholeScript(name_, contents, existing.value()->outline)).ok()) return success();
  // One of another version, of which something cannot stay.
  return runNft("delete table inet " + name_ + "\n" + wholeScript(name_, contents, {}));
}

Status Table::applyQueue(std::uint16_t queue) {
  if (queue_by_ == QueueBy::kNft || queue_ == queue) return success();
  auto set = setQueueTarget(name_, kQueueChain, queue);
  if (set) queue_ = queue;
  return set;
}

Status Table::refresh() {
  for (const int family : {AF_INET, AF_INET6}) {
    if (!(family == AF_INET ? ipv4_ : ipv6_)) continue;
    auto sent = sendHeartbeat(tag_, family);
    if (sent) continue;
    applied_.reset();
    return sent;
  }
  return success();
}

Result<std::optional<Table::Left>> Table::left() const {
  auto listing = list(name_);
  if (!listing) return std::move(listing).error();
  if (!listing.value() || !listing.value()->tag) return std::optional<Left>();
  auto queue = queueOf(name_, kQueueChain);
  if (!queue) return std::move(queue).error();
  auto& found = *listing.value();
  return std::optional(Left{*found.tag, queue.value(), std::move(found.backends), std::move(found.entrances)});
}

Status Table::remove() {
  // What is ours is not listed first: after a drain of many that takes seconds, for the sets that packets fill.
  if (std::exchange(applied_, std::nullopt) && runNft("delete table inet " + name_).ok()) return success();
  const auto existing = list(name_);
  if (!existing) return existing.error();
  return existing.value() ? runNft("delete table inet " + name_) : success();
}

}  // namespace lemonade::kernel
