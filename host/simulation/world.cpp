// SPDX-License-Identifier: MIT
#include "simulation/world.h"

#include "balance/feedback.h"

#include <limits>

namespace lemonade::sim {

namespace {

constexpr std::uint64_t kConnectNs = 100 * kMicrosecond;
constexpr std::uint64_t kResetAfterNs = kMillisecond;
constexpr std::uint64_t kGiveUpNs = 3 * kSecond;
constexpr std::uint64_t kCheckNs = 2 * kSecond;
constexpr std::uint64_t kRampNs = kSecond / 2;
constexpr std::uint32_t kRetries = 2;
constexpr std::uint32_t kClients = 1'000;
constexpr std::uint64_t kLookNs = 250 * kMillisecond;
constexpr double kSessionNs = 5e9;
constexpr double kBusyGapNs = 20e6;
constexpr double kQuietGapNs = 500e6;

std::uint64_t ns(double seconds) { return static_cast<std::uint64_t>(seconds * 1e9); }

}  // namespace

World::World(const Scenario& scenario, Strategies& strategies, const std::string& strategy, std::uint64_t seed)
    : scenario_(scenario),
      random_(seed),
      picks_(seed + 1'000'003),
      start_(timeline_.now()),
      end_(start_ + ns(scenario.seconds)),
      measure_from_(start_ + ns(scenario.measure_from)),
      servers_(scenario.servers, Server(scenario.workers)),
      on_their_way_ns_(scenario.servers),
      ramp_planned_(scenario.balancers) {
  for (std::uint32_t i = 0; i < scenario.balancers; ++i)
    balancers_.push_back(
        std::make_unique<Balancer>(scenario, i, strategies.make(strategy, scenario.options, *this), start_));
  result_.given.resize(scenario.servers);
  result_.answered.resize(scenario.servers);
  if (scenario.rate > 0) timeline_.plan(start_, What::kArrival);
  if (scenario.session_rate > 0) timeline_.plan(start_, What::kSessionArrival);
  for (std::uint32_t i = 0; i < scenario.timetable.size(); ++i)
    timeline_.plan(start_ + ns(scenario.timetable[i].at), What::kAction, i);
  for (std::uint32_t b = 0; scenario.checks && b < scenario.balancers; ++b)
    for (std::uint32_t s = 0; s < scenario.servers; ++s)
      timeline_.plan(start_ + ns(random_.unit() * 2), What::kCheck, b, s);
  for (std::uint32_t b = 0; scenario.outliers.on() && b < scenario.balancers; ++b)
    timeline_.plan(start_ + kLookNs, What::kLook, b);
}

Result World::run() {
  while (!timeline_.empty()) handle(timeline_.next());
  for (const auto& server : servers_) result_.longest_queue.push_back(server.longestQueue());
  for (const auto& balancer : balancers_) result_.invalid_picks += balancer->invalidPicks();
  return std::move(result_);
}

void World::handle(const Event& event) {
  const auto current = [&] { return sessions_[event.subject].live && sessions_[event.subject].use == event.detail; };
  switch (event.what) {
    case What::kArrival:
    case What::kSessionArrival:
      return arrive(event);
    case What::kConnected:
      if (current()) connected(event.subject);
      return;
    case What::kJobDone:
      return jobDone(event);
    case What::kReset:
      if (current()) lost(event.subject, true);
      return;
    case What::kNextRequest:
      if (current()) ask(event.subject);
      return;
    case What::kGiveUp:
      if (current()) lost(event.subject, false);
      return;
    case What::kCheck:
      return check(event);
    case What::kRamp:
      ramp_planned_[event.subject] = false;
      balancers_[event.subject]->publish(event.at);
      return keepRamping(event.subject);
    case What::kLetBack:
      balancers_[event.subject]->letBack(event.detail, event.at);
      return keepRamping(event.subject);
    case What::kLook:
      return look(event);
    case What::kAction:
      return act(scenario_.timetable[event.subject]);
  }
}

// A Poisson process whose rate changes is one of the highest rate of which some arrivals are left out.
void World::arrive(const Event& event) {
  const bool session = event.what == What::kSessionArrival;
  const double highest = session ? scenario_.session_rate : scenario_.rate * std::max(1.0, scenario_.crowd_factor);
  const std::uint64_t next = event.at + static_cast<std::uint64_t>(random_.exponential(1e9 / highest));
  if (next < end_) timeline_.plan(next, event.what);
  const bool crowd = event.at >= start_ + ns(scenario_.crowd_from) && event.at < start_ + ns(scenario_.crowd_to);
  if (!session && random_.unit() * highest >= scenario_.rate * (crowd ? scenario_.crowd_factor : 1)) return;

  const std::uint32_t id = newSession();
  Session& one = sessions_[id];
  one.balancer = random_.below(scenario_.balancers);
  one.client = random_.below(kClients);
  one.work_ns = drawWork();
  one.due = event.at;
  if (session) {
    one.ends_at = event.at + kSecond + static_cast<std::uint64_t>(random_.exponential(kSessionNs));
    one.requests_left = scenario_.session_requests;
    one.gap_ns = random_.unit() < scenario_.busy_share ? kBusyGapNs : kQuietGapNs;
  }
  place(id);
}

double World::drawWork() {
  const double mean = scenario_.work_ms * 1e6;
  return scenario_.work_variation > 0 ? random_.lognormal(mean, scenario_.work_variation) : random_.exponential(mean);
}

std::uint32_t World::newSession() {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(sessions_.size()));
    sessions_.emplace_back();
  }
  const std::uint32_t id = free_.back();
  free_.pop_back();
  const std::uint32_t use = sessions_[id].use + 1;
  sessions_[id] = {};
  sessions_[id].use = use;
  sessions_[id].live = true;
  return id;
}

void World::place(std::uint32_t id) {
  Session& session = sessions_[id];
  placing_ns_ = session.work_ns;
  session.picked = balancers_[session.balancer]->pick(session.tried, session.client, picks_.bits(), timeline_.now());
  if (session.picked.what != Picked::What::kBackend) return lost(id, false);
  session.backend = session.picked.backend;
  session.trial =
      session.picked.trial != nullptr ? Trial::Part(*session.picked.trial, session.picked.arm) : Trial::Part();
  session.attempted_at = timeline_.now();
  setOut(session);
  timeline_.plan(timeline_.now() + kConnectNs, What::kConnected, id, session.use);
}

void World::setOut(Session& session) {
  session.on_its_way_to = serverOf(session);
  on_their_way_ns_[session.on_its_way_to] += session.work_ns;
}

void World::arriveAt(Session& session) {
  if (session.on_its_way_to == kNone) return;
  double& work_ns = on_their_way_ns_[std::exchange(session.on_its_way_to, kNone)];
  work_ns = std::max(0.0, work_ns - session.work_ns);
}

void World::connected(std::uint32_t id) {
  Session& session = sessions_[id];
  arriveAt(session);
  const std::uint64_t now = timeline_.now();
  if (servers_[serverOf(session)].down()) {
    feedback::failed(*session.backend, now, Backend::Failure::kRefused);
    tell(session, LEMONADE_EVENT_CONNECT_FAILED, now - session.attempted_at);
    session.tried.add(*session.backend);
    balancers_[session.balancer]->release(*session.backend);
    session.backend = nullptr;
    if (++session.attempts > kRetries) return lost(id, false);
    return place(id);
  }
  feedback::connected(*session.backend, now - session.attempted_at, now);
  session.connected_at = now;
  tell(session, LEMONADE_EVENT_CONNECTED, now - session.attempted_at);
  if (counts(session)) {
    ++result_.given[serverOf(session)];
    if (!scenario_.zones.empty() && scenario_.zones[serverOf(session)] != scenario_.own_zones[session.balancer])
      ++result_.elsewhere;
  }
  session.doomed = isDoomed(servers_[serverOf(session)]);
  // What the client sent meanwhile waits at the balancer; the latency of the first request counts from its arrival.
  const std::uint64_t due = session.due;
  ask(id);
  session.due = due;
  if (session.doomed) timeline_.plan(now + kResetAfterNs, What::kReset, id, session.use);
}

void World::ask(std::uint32_t id) {
  Session& session = sessions_[id];
  const std::uint64_t now = timeline_.now();
  session.due = session.exchange_at = now;
  if (session.answered) feedback::stirred(*session.backend);
  feedback::exchangeStarted(*session.backend, now);
  session.trial.asked(now);
  const std::uint32_t number = serverOf(session);
  const Server& server = servers_[number];
  if (session.answered) session.work_ns = drawWork();
  if (!server.resets() && !session.doomed) queue(number, {id, session.use, session.work_ns});
  timeline_.plan(now + kGiveUpNs, What::kGiveUp, id, session.use);
}

void World::queue(std::uint32_t number, const Server::Job& job) {
  Server& server = servers_[number];
  if (const auto ends = server.take(job, timeline_.now()))
    timeline_.plan(*ends, What::kJobDone, number, server.stretch());
}

void World::jobDone(const Event& event) {
  Server& server = servers_[event.subject];
  if (server.stretch() != event.detail) return;
  std::optional<std::uint64_t> next;
  const auto job = server.finish(event.at, next);
  if (next) timeline_.plan(*next, What::kJobDone, event.subject, server.stretch());
  if (sessions_[job.session].live && sessions_[job.session].use == job.use) answered(job.session);
}

void World::answered(std::uint32_t id) {
  Session& session = sessions_[id];
  const std::uint64_t now = timeline_.now();
  feedback::exchangeAnswered(*session.backend, session.exchange_at, now);
  const std::uint64_t started_at = std::exchange(session.exchange_at, 0);
  tell(session, LEMONADE_EVENT_EXCHANGE, now - started_at);
  session.backend->counters(0).exchange_time.record(now - started_at);
  feedback::becameQuiet(*session.backend);
  if (!session.answered) {
    feedback::succeeded(*session.backend);
    feedback::forgetDoubts(*session.backend);
    balancers_[session.balancer]->answered(serverOf(session));
    session.trial.answered(now - started_at);
  }
  session.answered = true;
  if (counts(session)) {
    result_.latencies_ms.push_back(static_cast<float>(static_cast<double>(now - session.due) / 1e6));
    ++result_.answered[serverOf(session)];
  }
  ++session.use;  // this request's deadline does not hold any more
  const bool counted = scenario_.session_requests != 0 && session.ends_at != 0;
  if (counted ? --session.requests_left == 0 : now >= session.ends_at) return end(id);
  timeline_.plan(now + static_cast<std::uint64_t>(random_.exponential(session.gap_ns)), What::kNextRequest, id,
                 session.use);
}

/// The session ends without an answer, or between two requests.
void World::lost(std::uint32_t id, bool by_backend) {
  Session& session = sessions_[id];
  const bool waited = session.exchange_at != 0;
  if ((waited || !session.connected()) && counts(session)) ++result_.errors;
  if (waited) feedback::exchangeDropped(*session.backend, session.exchange_at);
  if (session.connected() && by_backend && (waited || !session.answered)) {
    tell(session, LEMONADE_EVENT_ERROR, 0);
    if (!session.answered) doubt(session);
  } else if (session.connected() && !session.answered) {
    feedback::succeeded(*session.backend);
    session.trial.left();
  }
  end(id);
}

void World::doubt(Session& session) {
  const std::uint32_t server = serverOf(session);
  session.trial.failed();
  if (const auto out_for = balancers_[session.balancer]->doubt(server, timeline_.now()))
    timeline_.plan(timeline_.now() + *out_for, What::kLetBack, session.balancer, server);
}

// Draws only where luck decides: other scenarios are the same whether or not there are such.
bool World::isDoomed(const Server& server) {
  return server.resets() || (server.resetShare() > 0 && random_.unit() < server.resetShare());
}

void World::look(const Event& event) {
  for (const auto& [server, out_for] : balancers_[event.subject]->look(event.at))
    timeline_.plan(event.at + out_for, What::kLetBack, event.subject, server);
  if (event.at + kLookNs < end_) timeline_.plan(event.at + kLookNs, What::kLook, event.subject);
}

void World::end(std::uint32_t id) {
  Session& session = sessions_[id];
  arriveAt(session);
  session.trial.dismiss();
  if (session.connected()) tell(session, LEMONADE_EVENT_CLOSED, timeline_.now() - session.connected_at);
  if (session.answered && session.exchange_at == 0) feedback::stirred(*session.backend);
  if (session.backend != nullptr) balancers_[session.balancer]->release(*session.backend);
  session.live = false;
  free_.push_back(id);
}

void World::act(const Step& step) {
  servers_[step.server].behave(step);
  if (step.action != Action::kDown) return;
  for (std::uint32_t id = 0; id < sessions_.size(); ++id)
    if (sessions_[id].live && sessions_[id].connected() && serverOf(sessions_[id]) == step.server) lost(id, true);
}

void World::check(const Event& event) {
  balancers_[event.subject]->check(event.detail, !servers_[event.detail].down(), event.at);
  keepRamping(event.subject);
  const auto next = event.at + static_cast<std::uint64_t>(static_cast<double>(kCheckNs) * (0.9 + 0.2 * random_.unit()));
  if (next < end_) timeline_.plan(next, What::kCheck, event.subject, event.detail);
}

void World::keepRamping(std::uint32_t balancer) {
  if (!balancers_[balancer]->ramping() || ramp_planned_[balancer]) return;
  ramp_planned_[balancer] = true;
  timeline_.plan(timeline_.now() + kRampNs, What::kRamp, balancer);
}

double World::workLeftNs(std::uint32_t server) const {
  const Server& one = servers_[server];
  return one.workLeftNs(timeline_.now()) + on_their_way_ns_[server] * one.slowness() / scenario_.workers;
}

double World::slowness(std::uint32_t server) const {
  const Server& one = servers_[server];
  return one.answers() ? one.slowness() : std::numeric_limits<double>::infinity();
}

std::uint32_t World::inFlight(std::uint32_t server) const {
  return static_cast<std::uint32_t>(servers_[server].queued());
}

void World::probe(std::uint32_t server) { servers_[server].charge(scenario_.probe_ms * 1e6); }

Result runAll(const Scenario& scenario, Strategies& strategies, const std::string& strategy, std::uint64_t seed,
              std::uint64_t runs) {
  Result sum;
  for (std::uint64_t run = 0; run < runs; ++run) sum.add(World(scenario, strategies, strategy, seed + run).run());
  return sum;
}

double frontier(const Scenario& scenario, Strategies& strategies, const std::string& strategy, std::uint64_t seed,
                std::uint64_t runs) {
  const auto at = [&](double load, const std::string& with) {
    Scenario one = scenario;
    setLoad(one, load);
    return runAll(one, strategies, with, seed, runs);
  };
  const double longest = 10 * at(0.02, "oracle").quantile(0.99);
  const auto holds = [&](int step) {
    Result result = at(0.6 + 0.02 * step, strategy);
    const double failed = static_cast<double>(result.errors);
    return result.quantile(0.999) <= longest &&
           failed <= 1e-4 * (failed + static_cast<double>(result.latencies_ms.size()));
  };
  int first_bad = 31, last_good = -1;  // steps from 0.6
  while (first_bad - last_good > 1) {
    const int middle = (first_bad + last_good) / 2;
    (holds(middle) ? last_good : first_bad) = middle;
  }
  return last_good < 0 ? 0 : 0.6 + 0.02 * last_good;
}

}  // namespace lemonade::sim
