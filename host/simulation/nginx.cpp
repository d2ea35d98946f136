// SPDX-License-Identifier: MIT
//
// least_time first_byte of ngx_stream_upstream_least_time_module, nginx 1.31.5: an average with a weight of 1/20 for
// each sample, in clusters of 20 ms, times connections; halved for each 10 s since the server was last picked. One
// sample for each connection: its first answer, which counts when it comes (inflight) or when the connection ends. With
// inflight, connections that still wait for it count with their mean age, averaged over picks.
#include "simulation/contender.h"

#include <algorithm>
#include <unordered_map>

namespace lemonade::sim {

namespace {

constexpr std::uint64_t kFailTimeout = 10;  // seconds

class Nginx final : public Contender {
 public:
  Nginx(Inside& inside, bool inflight) : inflight_(inflight), peers_(inside.servers()) {}

  std::uint32_t pick(const lemonade_connection_t& connection, const lemonade_view_t& view,
                     std::uint64_t& cookie) override {
    const std::uint64_t now = connection.now_ns / 1'000'000;
    std::vector<std::uint32_t> open;
    for (std::uint32_t i = 0; i < view.eligible_count; ++i)
      if (lemonade_may_pick(&connection, &view, view.eligible[i]) != 0 && !peers_[view.eligible[i]].rests(now))
        open.push_back(view.eligible[i]);
    if (open.empty()) return LEMONADE_PICK_NONE;
    std::vector<std::uint64_t> cost;  // times the weight of all others would divide; weights are 1 here
    for (const auto server : open) cost.push_back(costOf(peers_[server], *lemonade_view_backend(&view, server), now));
    const std::uint64_t least = *std::min_element(cost.begin(), cost.end());
    std::uint32_t best = LEMONADE_PICK_NONE;
    std::int64_t total = 0;
    for (std::size_t i = 0; i < open.size(); ++i) {
      if (cost[i] != least) continue;
      const std::int64_t weight = lemonade_view_backend(&view, open[i])->weight;
      peers_[open[i]].turn += weight;
      total += weight;
      if (best == LEMONADE_PICK_NONE || peers_[open[i]].turn > peers_[best].turn) best = open[i];
    }
    peers_[best].turn -= total;
    begin(peers_[best], now);
    cookie = ++sessions_begun_;
    sessions_[cookie] = {};
    return best;
  }

  void event(const lemonade_strategy_event_t& event, std::uint32_t server) override {
    Peer& peer = peers_[server];
    const std::uint64_t now = event.now_ns / 1'000'000;
    Session& session = sessions_[event.cookie];
    if (event.type == LEMONADE_EVENT_EXCHANGE && !session.answered) {
      session.answered = true;
      session.first_ms = event.value_ns / 1'000'000;
      if (!inflight_) return;
      average(peer.first_byte_ms, session.first_ms);
      peer.waited(session.first_ms, now);
    }
    if (event.type != LEMONADE_EVENT_CLOSED && event.type != LEMONADE_EVENT_CONNECT_FAILED) return;
    --peer.connections;
    const bool failed = event.type == LEMONADE_EVENT_CONNECT_FAILED;
    if (inflight_ && !session.answered) peer.waited(event.value_ns / 1'000'000, now);
    if (!inflight_ && session.answered) average(peer.first_byte_ms, session.first_ms);
    if (failed) peer.checked_s = now / 1000;
    peer.failed = failed;
    sessions_.erase(event.cookie);
  }

 private:
  struct Peer {
    std::uint64_t first_byte_ms = 0;
    std::uint64_t inflight_ms = 0;       // averaged over picks
    std::uint64_t inflight_sum = 0;      // of the ages, when it last changed
    std::uint64_t inflight_changed = 0;  // ms
    std::uint64_t inflight = 0;
    std::uint64_t connections = 0;
    std::uint64_t checked_s = 0;
    std::int64_t turn = 0;
    bool failed = false;

    bool rests(std::uint64_t now) const { return failed && now / 1000 - checked_s <= kFailTimeout; }
    void waited(std::uint64_t ms, std::uint64_t now) {
      inflight_sum = inflight == 1 ? 0 : inflight_sum + (now - inflight_changed) * inflight - ms;
      if (inflight != 1) inflight_changed = now;
      --inflight;
    }
  };
  struct Session {
    bool answered = false;
    std::uint64_t first_ms = 0;
  };

  static void average(std::uint64_t& field, std::uint64_t ms) {
    field = field != 0
                ? static_cast<std::uint64_t>(0.5 + static_cast<double>(ms) * 0.05 + static_cast<double>(field) * 0.95)
                : ms;
  }

  void begin(Peer& peer, std::uint64_t now) const {
    ++peer.connections;
    if (now / 1000 - peer.checked_s > kFailTimeout) peer.checked_s = now / 1000;
    if (!inflight_) return;
    if (peer.inflight > 0) peer.inflight_sum += (now - peer.inflight_changed) * peer.inflight;
    peer.inflight_changed = now;
    ++peer.inflight;
  }

  static std::uint64_t costOf(Peer& peer, const lemonade_backend_t& backend, std::uint64_t now) {
    if (peer.inflight > 0) average(peer.inflight_ms, peer.inflight_sum / peer.inflight + (now - peer.inflight_changed));
    std::uint64_t ms = peer.first_byte_ms;
    if (const std::uint64_t rested = now / 1000 - peer.checked_s; rested > kFailTimeout)
      ms >>= std::min<std::uint64_t>(63, rested / (kFailTimeout + 1));
    if (peer.inflight > 0) ms = std::max(ms, peer.inflight_ms);
    ms = ms > 5'000 ? 5'000 : ms + 20 - ms % 20;
    return ms * (1 + peer.connections) * 1'000 / std::max(1u, backend.weight);
  }

  const bool inflight_;
  std::vector<Peer> peers_;
  std::unordered_map<std::uint64_t, Session> sessions_;
  std::uint64_t sessions_begun_ = 0;
};

}  // namespace

std::unique_ptr<Contender> makeNginx(Inside& inside, bool inflight) {
  return std::make_unique<Nginx>(inside, inflight);
}

}  // namespace lemonade::sim
