// SPDX-License-Identifier: MIT
//
// Prequal: three probes for each request, of servers drawn at random, answer with the requests at a server and how long
// such took lately. Of the newest 16 answers those are hot that have more requests than the 84 % quantile of what was
// answered lately; of the cold the one with the least latency is picked, of none the one with the fewest requests. An
// answer is used twice at most, counts its use as one request more, and is dropped after a second; for each request the
// oldest or the worst one is.
#include "simulation/contender.h"

#include <lemonade/sdk/sampling.hpp>

#include <algorithm>
#include <deque>

namespace lemonade::sim {

namespace {

constexpr std::uint32_t kProbes = 3;
constexpr std::size_t kAnswers = 16;
constexpr std::size_t kRemembered = 100;
constexpr double kHot = 0.84;
constexpr std::uint32_t kUses = 2;
constexpr std::uint64_t kOldNs = 1'000'000'000;
constexpr std::uint64_t kRoundTripNs = 200'000;

class Prequal final : public Contender {
 public:
  explicit Prequal(Inside& inside) : inside_(inside) {}

  std::uint32_t pick(const lemonade_connection_t& connection, const lemonade_view_t& view, std::uint64_t&) override {
    std::vector<std::uint32_t> open;
    for (std::uint32_t i = 0; i < view.eligible_count; ++i)
      if (lemonade_may_pick(&connection, &view, view.eligible[i]) != 0) open.push_back(view.eligible[i]);
    if (open.empty()) return LEMONADE_PICK_NONE;
    receive(connection.now_ns);
    const auto may = [&](const Answer& answer) {
      return std::find(open.begin(), open.end(), answer.server) != open.end();
    };
    const auto chosen = choose(may);
    std::uint32_t server = open[connection.random % open.size()];
    if (chosen != answers_.end()) {
      server = chosen->server;
      ++chosen->requests;
      if (++chosen->uses >= kUses) answers_.erase(chosen);
    }
    removeOne();
    for (std::uint32_t n = 0; n < kProbes; ++n) {
      const auto random = sdk::nthRandom(connection.random, n + 1);
      ask(open[random % open.size()], connection.now_ns);
    }
    return server;
  }

  void event(const lemonade_strategy_event_t&, std::uint32_t) override {}

 private:
  struct Answer {
    std::uint32_t server;
    std::uint32_t requests;
    double latency_ns;
    std::uint64_t at;
    std::uint32_t uses = 0;
  };
  using Answers = std::deque<Answer>;

  // A server that does not answer probes is not in the pool of answers.
  void ask(std::uint32_t server, std::uint64_t now) {
    if (inside_.workLeftNs(server) > 1e15) return;
    inside_.probe(server);
    under_way_.push_back({server, inside_.inFlight(server), inside_.latencyNs(server), now + kRoundTripNs});
  }

  void receive(std::uint64_t now) {
    while (!under_way_.empty() && under_way_.front().at <= now) {
      answers_.push_back(under_way_.front());
      under_way_.pop_front();
      seen_.push_back(answers_.back().requests);
      if (seen_.size() > kRemembered) seen_.pop_front();
      if (answers_.size() > kAnswers) answers_.pop_front();
    }
    std::erase_if(answers_, [&](const Answer& answer) { return now - answer.at > kOldNs; });
  }

  double hotFrom() const {
    std::vector<std::uint32_t> sorted(seen_.begin(), seen_.end());
    if (sorted.empty()) return 0;
    const auto at = sorted.begin() + static_cast<std::ptrdiff_t>(kHot * static_cast<double>(sorted.size() - 1));
    std::nth_element(sorted.begin(), at, sorted.end());
    return *at;
  }

  template <class May>
  Answers::iterator choose(May may) {
    const double hot_from = hotFrom();
    auto best = answers_.end();
    for (auto one = answers_.begin(); one != answers_.end(); ++one)
      if (may(*one) && (best == answers_.end() || better(*one, *best, hot_from))) best = one;
    return best;
  }

  static bool better(const Answer& a, const Answer& b, double hot_from) {
    const bool a_hot = a.requests > hot_from, b_hot = b.requests > hot_from;
    if (a_hot != b_hot) return !a_hot;
    if (a_hot) return a.requests < b.requests;
    return a.latency_ns < b.latency_ns;
  }

  void removeOne() {
    if (answers_.size() < 2) return;
    remove_oldest_ = !remove_oldest_;
    if (remove_oldest_) return answers_.pop_front();
    const double hot_from = hotFrom();
    answers_.erase(std::max_element(answers_.begin(), answers_.end(),
                                    [&](const Answer& a, const Answer& b) { return better(a, b, hot_from); }));
  }

  Inside& inside_;
  Answers answers_;    // the newest last
  Answers under_way_;  // at: when they come
  std::deque<std::uint32_t> seen_;
  bool remove_oldest_ = false;
};

}  // namespace

std::unique_ptr<Contender> makePrequal(Inside& inside) { return std::make_unique<Prequal>(inside); }

}  // namespace lemonade::sim
