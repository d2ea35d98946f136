// SPDX-License-Identifier: MIT
//
// How a session is found a backend: the connector alone, over a dialer whose connects come to what the test says.
#include "proxy/connector.h"

#include "unit/proxy/one_worker.h"

#include <catch2/catch.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <string>
#include <utility>
#include <vector>

namespace lemonade::proxy {
namespace {

using namespace std::chrono_literals;
using Outcome = Connector::Outcome;
using Texts = std::vector<std::string>;

constexpr std::uint64_t kSecond = 1'000'000'000;

class ScriptedDialer final : public Dialer {
 public:
  static constexpr int kUnderWay = -1;

  /// What the next connects come to: an errno, 0 for one that is done at once, or kUnderWay, as all behind the last.
  std::deque<int> connects;
  Texts dialled;                             ///< the address of each connect
  std::vector<std::pair<int, int>> options;  ///< level and name
  int dropped = 0;

  void setOption(int, int level, int name, int) noexcept override { options.emplace_back(level, name); }
  Connect connect(Session&, const Address& address) noexcept override {
    dialled.push_back(address.text());
    const int result = connects.empty() ? kUnderWay : connects.front();
    if (!connects.empty()) connects.pop_front();
    if (result == kUnderWay) return Connect::kConnecting;
    errno = result;
    return result == 0 ? Connect::kConnected : Connect::kFailed;
  }
  void dropBackend(Session& session) noexcept override {
    ++dropped;
    close(session);
  }
  static void close(Session& session) noexcept {
    if (session.backend.fd >= 0) ::close(session.backend.fd);
    session.backend = Endpoint{};
  }
};

struct Fixture : OneWorker {
  Fixture() {
    for (Session* one : {&session, &other}) {
      one->pool = &pool;
      one->listener = listener.get();
      one->at_listener = &listener->at(0);
      one->at_pool = &at_pool;
      one->client_address = *Address::parse("192.0.2.1:1234");
    }
  }
  ~Fixture() {
    for (Session* one : {&session, &other}) {
      ScriptedDialer::close(*one);
      if (one->target != nullptr) pool.release(*one->target);
    }
  }
  Outcome begin(Session& one) { return connector.begin(one, now()); }
  Outcome retry(int error) { return connector.retry(session, error, now()); }
  /// The backend by its place in the pool.
  Backend& at(std::size_t index) { return *pool.backends()->at(index); }

  PoolSessions at_pool{pool, pool.at(0)};
  ScriptedDialer dialer;
  Connector connector{0, serving, meter, dialer};
  Session session;
  Session other;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "Connector begins to connect to the backend that is picked, and takes a place there",
                 "[proxy]") {
  backends({kA, kB});
  CHECK(begin(session) == Outcome::kConnecting);
  CHECK(dialer.dialled == Texts{kA});
  CHECK(session.target == backend.get());
  CHECK(session.attempt == 1);
  CHECK(session.attempted_at == now());
  CHECK(at(0).stats().active == 1);
  CHECK(std::count(dialer.options.begin(), dialer.options.end(), std::pair(int{IPPROTO_TCP}, TCP_NODELAY)) == 1);
}

TEST_CASE_METHOD(Fixture, "Connector says where a backend is connected at once", "[proxy]") {
  backends({kA});
  dialer.connects = {0};
  CHECK(begin(session) == Outcome::kConnected);
}

TEST_CASE_METHOD(Fixture, "Connector goes on with another backend where a connect fails, at once or later", "[proxy]") {
  backends({kA, kB});
  SECTION("at once") {
    dialer.connects = {ECONNREFUSED};
    CHECK(begin(session) == Outcome::kConnecting);
  }
  SECTION("later") {
    CHECK(begin(session) == Outcome::kConnecting);
    CHECK(retry(ECONNREFUSED) == Outcome::kConnecting);
  }
  CHECK(dialer.dialled == Texts{kA, kB});
  CHECK(dialer.dropped == 1);
  CHECK(session.attempt == 2);
  CHECK(counters().retries.value() == 1);
  CHECK(at(0).counters(0).connect_refused.value() == 1);
  CHECK(at(0).stats().fail_streak == 1);
  CHECK(at(0).stats().active == 0);
  CHECK(at(1).stats().active == 1);
}

TEST_CASE_METHOD(Fixture, "Connector pauses where every backend has failed the session, and then tries them again",
                 "[proxy]") {
  backends({kA, kB});
  dialer.connects = {ECONNREFUSED, ETIMEDOUT};
  CHECK(begin(session) == Outcome::kPause);
  CHECK(session.target == nullptr);
  CHECK(session.again_at == now() + kSecond);
  clock.advance(1s);
  CHECK(begin(session) == Outcome::kConnecting);
  CHECK(dialer.dialled == Texts{kA, kB, kA});
  CHECK(at(1).counters(0).connect_timeouts.value() == 1);
}

TEST_CASE_METHOD(Fixture, "Connector pauses no longer than a connect may take", "[proxy]") {
  backends({kA});
  pool.settings().connect_timeout_ns = kSecond / 5;
  dialer.connects = {ECONNREFUSED};
  CHECK(begin(session) == Outcome::kPause);
  CHECK(session.again_at == now() + kSecond / 5);
}

TEST_CASE_METHOD(Fixture, "Connector has sessions that failed together come again one after another", "[proxy]") {
  backends({kA});
  serving = 4;
  dialer.connects = {ECONNREFUSED, ECONNREFUSED};
  CHECK(begin(session) == Outcome::kPause);
  CHECK(begin(other) == Outcome::kPause);
  CHECK(other.again_at == session.again_at + 4'000'000);
}

TEST_CASE_METHOD(Fixture, "Connector gives up when the retries are used up, and says which backend was the last",
                 "[proxy]") {
  backends({kA, kB});
  pool.settings().retries = 1;
  dialer.connects = {ECONNREFUSED, ECONNREFUSED};
  CHECK(begin(session) == Outcome::kGiveUp);
  CHECK(session.reason == CloseReason::kConnectFailed);
  CHECK(session.target == &at(1));
  CHECK(counters().retries.value() == 1);
}

TEST_CASE_METHOD(Fixture, "Connector goes on after the retries for a session that queued, till its time is over",
                 "[proxy]") {
  backends({kA});
  pool.settings().retries = 0;
  pool.settings().queue_timeout_ns = 10 * kSecond;
  session.queued_at = now();
  dialer.connects = {ECONNREFUSED, ECONNREFUSED, ECONNREFUSED};
  CHECK(begin(session) == Outcome::kPause);
  clock.advance(9s);
  CHECK(begin(session) == Outcome::kPause);
  clock.advance(1s);
  CHECK(begin(session) == Outcome::kGiveUp);
  CHECK(session.reason == CloseReason::kConnectFailed);
}

TEST_CASE_METHOD(Fixture, "Connector gives up where there is no backend, and where the strategy rejects", "[proxy]") {
  SECTION("no backend") {
    backends({});
    CHECK(begin(session) == Outcome::kGiveUp);
    CHECK(session.reason == CloseReason::kNoBackend);
  }
  SECTION("rejected") {
    backends({kA});
    strategy.instead = LEMONADE_PICK_REJECT;
    CHECK(begin(session) == Outcome::kGiveUp);
    CHECK(session.reason == CloseReason::kRejected);
  }
  CHECK(dialer.dialled.empty());
}

TEST_CASE_METHOD(Fixture, "Connector counts an answer of the strategy that cannot be used, and picks in its place",
                 "[proxy]") {
  backends({kA});
  strategy.instead = 17;
  CHECK(begin(session) == Outcome::kConnecting);
  CHECK(counters().invalid_picks.value() == 1);
}

TEST_CASE_METHOD(Fixture, "Connector has a session queue where all backends are full, if it may", "[proxy]") {
  backends({kA}, 1);
  REQUIRE(begin(session) == Outcome::kConnecting);
  SECTION("it may") { CHECK(begin(other) == Outcome::kQueue); }
  SECTION("it may not") {
    pool.settings().queue_timeout_ns = 0;
    CHECK(begin(other) == Outcome::kGiveUp);
    CHECK(other.reason == CloseReason::kNoBackend);
  }
  CHECK(other.attempt == 0);
}

TEST_CASE_METHOD(Fixture, "Connector has a session queue on where the backends are gone meanwhile", "[proxy]") {
  backends({});
  session.queued_at = now();
  CHECK(begin(session) == Outcome::kQueue);
  clock.advance(5s);
  CHECK(begin(session) == Outcome::kGiveUp);
  CHECK(session.reason == CloseReason::kNoBackend);
}

TEST_CASE_METHOD(Fixture, "Connector that gets no descriptor gives the place back, and that counts as no attempt",
                 "[proxy]") {
  backends({kA});
  {
    const test::FewDescriptors none(0);
    CHECK(begin(session) == Outcome::kNoDescriptor);
  }
  CHECK(session.attempt == 0);
  CHECK(session.target == nullptr);
  CHECK(at(0).stats().active == 0);
  CHECK(counters().descriptor_waits.value() == 1);
  CHECK(begin(session) == Outcome::kConnecting);
}

TEST_CASE_METHOD(Fixture, "Connector tries another backend where no port is free, and then waits for one", "[proxy]") {
  backends({kA, kB});
  dialer.connects = {EADDRNOTAVAIL, EADDRNOTAVAIL};
  CHECK(begin(session) == Outcome::kNoDescriptor);
  CHECK(dialer.dialled == Texts{kA, kB});
  CHECK(counters().port_waits.value() == 1);
  CHECK(session.attempt == 0);
  CHECK(session.again_at == now() + kSecond / 20);
  CHECK(at(0).counters(0).connect_errors.value() == 0);
  clock.advance(50ms);
  CHECK(begin(session) == Outcome::kConnecting);
}

TEST_CASE_METHOD(Fixture, "Connector holds nothing against a backend that this machine does not let it connect to",
                 "[proxy]") {
  backends({kA, kB});
  dialer.connects = {EACCES};
  CHECK(begin(session) == Outcome::kConnecting);
  CHECK(at(0).counters(0).connect_errors.value() == 1);
  CHECK(at(0).stats().fail_streak == 0);
}

TEST_CASE_METHOD(Fixture, "Connector connects from the source address of the pool to backends of its family",
                 "[proxy]") {
  backends({kA});
  const auto boundTo = [&] {
    sockaddr_storage local{};
    socklen_t size = sizeof(local);
    auto* const any = reinterpret_cast<sockaddr*>(&local);
    REQUIRE(::getsockname(session.backend.fd, any, &size) == 0);
    return Address(any, size).text();
  };
  SECTION("of its family") {
    pool.settings().setSource(*Address::parse("127.0.0.9", 0));
    CHECK(begin(session) == Outcome::kConnecting);
    CHECK(boundTo() == "127.0.0.9:0");
  }
  SECTION("of another") {
    pool.settings().setSource(*Address::parse("::1", 0));
    CHECK(begin(session) == Outcome::kConnecting);
    CHECK(boundTo() == "0.0.0.0:0");
  }
  SECTION("that this machine does not have") {
    pool.settings().retries = 0;
    pool.settings().setSource(*Address::parse("203.0.113.9", 0));
    CHECK(begin(session) == Outcome::kGiveUp);
    CHECK(dialer.dialled.empty());
    CHECK(at(0).stats().fail_streak == 0);
  }
}

TEST_CASE_METHOD(Fixture, "Connector introduces the client to a backend that is sent PROXY headers", "[proxy]") {
  backends({kA});
  int pair[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
  session.backend.fd = pair[0];
  const Fd server(pair[1]);
  const auto received = [&] {
    char bytes[256];
    const ssize_t came = ::recv(server.get(), bytes, sizeof(bytes), 0);
    return std::string(bytes, came > 0 ? static_cast<std::size_t>(came) : 0);
  };
  session.destination = std::make_unique<const Address>(*Address::parse("198.51.100.7:443"));
  SECTION("where the pool has them sent") {
    pool.settings().send_proxy = 1;
    CHECK(connector.introduce(session));
    CHECK(received() == "PROXY TCP4 192.0.2.1 198.51.100.7 1234 443\r\n");
  }
  SECTION("and to no other") {
    CHECK(connector.introduce(session));
    CHECK(received().empty());
  }
  SECTION("unless that has gone") {
    pool.settings().send_proxy = 2;
    REQUIRE(::shutdown(server.get(), SHUT_RDWR) == 0);
    CHECK_FALSE(connector.introduce(session));
    CHECK(errno == EPIPE);
  }
}

}  // namespace lemonade::proxy
