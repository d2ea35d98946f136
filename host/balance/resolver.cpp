// SPDX-License-Identifier: MIT
#include "balance/resolver.h"

#include "balance/hosts_file.h"
#include "balance/name_lookup.h"
#include "base/clock.h"
#include "base/control_loop.h"

#include <deque>
#include <exception>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace lemonade {
namespace {

// More names than these wait for others to be answered: neither a server's buffer nor ours holds any number of packets.
constexpr std::size_t kMostAtOnce = 512;

}  // namespace

/// Who waits for which name; control thread.
struct Resolver::Shared {
  std::map<std::string, std::vector<Callback>> waiters;  // of every name asked for and not yet answered
};

/// The lookups under way; the thread of the names.
class Resolver::Lookups {
 public:
  using Deliver = std::function<void(const std::string& name, Resolution resolution)>;

  Lookups(ControlLoop& loop, NameServers servers, Deliver deliver)
      : loop_(loop), servers_(std::move(servers)), deliver_(std::move(deliver)) {}

  /// Nothing new where the name is asked for already.
  void ask(const std::string& name) {
    if (lookups_.contains(name) || !queued_.insert(name).second) return;
    queue_.push_back(name);
    advanceSoon();
  }

 private:
  /// A lookup keeps to the channel that it began with.
  struct Lookup {
    std::shared_ptr<DnsChannel> channel;
    std::unique_ptr<NameLookup> lookup;
  };

  /// Names often come by the hundred.
  void advanceSoon() {
    if (std::exchange(advancing_, true)) return;
    loop_.post([this] {
      advancing_ = false;
      advance();
    });
  }

  void advance() {
    for (auto entry = lookups_.begin(); entry != lookups_.end();)
      entry = entry->second.lookup->advance(nowNs()) ? end(entry) : std::next(entry);
    while (!queue_.empty() && lookups_.size() < kMostAtOnce) {
      const auto entry = begin(queue_.front());
      queued_.erase(queue_.front());
      queue_.pop_front();
      if (entry->second.lookup->advance(nowNs())) end(entry);
    }
    rest();
  }

  std::map<std::string, Lookup>::iterator begin(const std::string& name) {
    if (channel_ == nullptr || channel_->outdated())
      channel_ = std::make_shared<DnsChannel>(loop_, servers_, [this] { advance(); });
    return lookups_.emplace(name, Lookup{channel_, makeNameLookup(name, *channel_, hosts_)}).first;
  }

  std::map<std::string, Lookup>::iterator end(std::map<std::string, Lookup>::iterator entry) {
    deliver_(entry->first, entry->second.lookup->result());
    retired_.push_back(std::move(entry->second.channel));
    return lookups_.erase(entry);
  }

  /// Sets the time to look again. Channels that no lookup uses go, but not from within a call of their own; without one
  /// the next name finds new servers, another port, and no socket of a network that is gone.
  void rest() {
    std::uint64_t earliest = 0;
    for (const auto& [name, one] : lookups_)
      if (const auto until = one.lookup->patientUntil(); until != 0 && (earliest == 0 || until < earliest))
        earliest = until;
    loop_.cancel(std::exchange(patience_, 0));
    const auto now = nowNs();
    if (earliest != 0)
      patience_ = loop_.after(Duration(static_cast<Duration::rep>(earliest > now ? earliest - now : 0)), [this] {
        patience_ = 0;
        advance();
      });
    if (retired_.empty() || sweeping_) return;
    sweeping_ = true;
    loop_.post([this] {
      sweeping_ = false;
      retired_.clear();
      if (lookups_.empty()) channel_.reset();
    });
  }

  ControlLoop& loop_;
  const NameServers servers_;
  const Deliver deliver_;
  const HostsFile hosts_;
  std::shared_ptr<DnsChannel> channel_;  // for the next lookup
  std::deque<std::string> queue_;
  std::set<std::string> queued_;  // the same
  std::map<std::string, Lookup> lookups_;
  std::vector<std::shared_ptr<DnsChannel>> retired_;  // of lookups that have ended
  bool advancing_ = false;                            // posted, as the next
  bool sweeping_ = false;
  ControlLoop::TimerId patience_ = 0;
};

Resolver::Resolver(ControlLoop& loop, NameServers servers)
    : loop_(loop), servers_(std::move(servers)), shared_(std::make_shared<Shared>()) {}

// Once the thread has ended nothing is delivered any more; what was posted before finds nobody.
Resolver::~Resolver() {
  if (names_ != nullptr) names_->stop();
}

void Resolver::begin() {
  if (names_ != nullptr) return;
  auto names = std::make_unique<ControlLoop>("names");
  names->start();
  lookups_ = std::make_unique<Lookups>(*names, servers_, [this](const std::string& name, Resolution resolution) {
    loop_.post([weak = std::weak_ptr(shared_), name, resolution = std::move(resolution)] {
      const auto shared = weak.lock();
      if (shared == nullptr) return;
      const auto waiters = shared->waiters.extract(name);
      if (!waiters.empty())
        for (const auto& answered : waiters.mapped()) answered(resolution);
    });
  });
  names_ = std::move(names);
}

void Resolver::resolve(const std::string& name, Callback answered) {
  if (const auto numeric = Address::parse(name, 0)) {
    answered({Resolution::Outcome::kFound, {{name, 0, 0, 0, {*numeric}}}, {}, {}});
    return;
  }
  shared_->waiters[name].push_back(std::move(answered));
  try {
    begin();
    names_->post([this, name] { lookups_->ask(name); });
  } catch (const std::exception& e) {
    const auto alone = shared_->waiters.extract(name);
    const Resolution failed{
        Resolution::Outcome::kTemporary, {}, "name \"" + name + "\" cannot be asked for: " + e.what(), {}};
    for (const auto& waiter : alone.mapped()) waiter(failed);
  }
}

}  // namespace lemonade
