// SPDX-License-Identifier: MIT
#include "balance/resolver.h"

#include "base/clock.h"
#include "base/control_loop.h"

#include <catch2/catch.hpp>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>

using namespace std::chrono_literals;
using lemonade::Address;
using lemonade::ControlLoop;
using lemonade::Resolution;
using lemonade::Resolver;

namespace {

/// A name service under the test's control: names that begin with "hang" wait until release(). Shared with the threads
/// of the resolver, which may outlive it.
class NameService {
 public:
  Resolution lookUp(const std::string& host) {
    std::unique_lock lock(mutex_);
    ++asked_[host];
    changed_.notify_all();
    if (host.starts_with("hang")) changed_.wait(lock, [this] { return released_; });
    ++ended_;
    changed_.notify_all();
    if (host == "nowhere") return {Resolution::Outcome::kNotFound, {}, "nowhere to be found"};
    if (host == "later") return {Resolution::Outcome::kTemporary, {}, "ask again"};
    return {Resolution::Outcome::kFound,
            {*Address::parse("[::1]:0"), *Address::parse("10.0.0.2:0"), *Address::parse("10.0.0.1:0"),
             *Address::parse("10.0.0.2:0")},
            {}};
  }

  bool waitAsked(const std::string& host) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 5s, [&] { return asked_[host] > 0; });
  }
  bool waitEnded(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 5s, [&] { return ended_ >= count; });
  }
  int asked(const std::string& host) {
    std::lock_guard lock(mutex_);
    return asked_[host];
  }
  void release() {
    std::lock_guard lock(mutex_);
    released_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, int> asked_;
  int ended_ = 0;
  bool released_ = false;
};

/// Answers as they arrive, by a name the test chooses.
class Answers {
 public:
  Resolver::Callback as(const std::string& name) {
    return [this, name](const Resolution& resolution) {
      std::lock_guard lock(mutex_);
      answers_[name] = resolution;
      changed_.notify_all();
    };
  }
  bool has(const std::string& name) {
    std::lock_guard lock(mutex_);
    return answers_.contains(name);
  }
  std::optional<Resolution> wait(const std::string& name) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, 5s, [&] { return answers_.contains(name); })) return std::nullopt;
    return answers_[name];
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Resolution> answers_;
};

struct Fixture {
  explicit Fixture(std::size_t threads = 4)
      : resolver(std::make_unique<Resolver>(
            loop, [names = names](const std::string& host) { return names->lookUp(host); }, threads)) {
    loop.start();
  }
  ~Fixture() {
    names->release();
    loop.stop();
  }
  void resolve(const std::string& host, std::uint16_t port, const std::string& as) {
    loop.run([&] { resolver->resolve(host, port, answers.as(as)); });
  }

  Answers answers;
  std::shared_ptr<NameService> names = std::make_shared<NameService>();
  ControlLoop loop;
  std::unique_ptr<Resolver> resolver;
};

std::vector<std::string> texts(const Resolution& resolution) {
  std::vector<std::string> result;
  for (const auto& address : resolution.addresses) result.push_back(address.text());
  return result;
}

}  // namespace

TEST_CASE("Resolver answers numeric addresses before resolve returns", "[balance][resolver]") {
  Fixture f;
  f.loop.run([&] {
    f.resolver->resolve("10.0.0.9", 80, f.answers.as("v4"));
    CHECK(f.answers.has("v4"));
    f.resolver->resolve("2001:db8::1", 80, f.answers.as("v6"));
    CHECK(f.answers.has("v6"));
  });
  CHECK(texts(*f.answers.wait("v4")) == std::vector<std::string>{"10.0.0.9:80"});
  CHECK(texts(*f.answers.wait("v6")) == std::vector<std::string>{"[2001:db8::1]:80"});
  CHECK(f.names->asked("10.0.0.9") == 0);
}

TEST_CASE("Resolver sorts the addresses of a name and drops doubles", "[balance][resolver]") {
  Fixture f;
  f.resolve("web", 8080, "web");
  const auto answer = f.answers.wait("web");
  REQUIRE(answer);
  CHECK(answer->ok());
  CHECK(texts(*answer) == std::vector<std::string>{"10.0.0.1:8080", "10.0.0.2:8080", "[::1]:8080"});
}

TEST_CASE("Resolver tells a name that is not there from one that gave no answer", "[balance][resolver]") {
  Fixture f;
  f.resolve("nowhere", 80, "nowhere");
  f.resolve("later", 80, "later");
  const auto nowhere = f.answers.wait("nowhere");
  const auto later = f.answers.wait("later");
  REQUIRE((nowhere && later));
  CHECK(nowhere->outcome == Resolution::Outcome::kNotFound);
  CHECK(nowhere->error == "nowhere to be found");
  CHECK(later->outcome == Resolution::Outcome::kTemporary);
}

TEST_CASE("Resolver asks once for a name that many wait for", "[balance][resolver]") {
  Fixture f;
  for (int i = 0; i < 20; ++i) f.resolve("hang", static_cast<std::uint16_t>(1'000 + i), "hang " + std::to_string(i));
  REQUIRE(f.names->waitAsked("hang"));
  f.names->release();
  for (int i = 0; i < 20; ++i) {
    const auto answer = f.answers.wait("hang " + std::to_string(i));
    REQUIRE(answer);
    CHECK(answer->addresses.at(0).port() == 1'000 + i);
  }
  CHECK(f.names->asked("hang") == 1);
}

TEST_CASE("Resolver answers other names while some hang", "[balance][resolver]") {
  Fixture f;
  for (const char* host : {"hang-1", "hang-2", "hang-3"}) f.resolve(host, 80, host);
  for (const char* host : {"hang-1", "hang-2", "hang-3"}) REQUIRE(f.names->waitAsked(host));
  for (int i = 0; i < 50; ++i) f.resolve("web-" + std::to_string(i), 80, "web-" + std::to_string(i));
  for (int i = 0; i < 50; ++i) CHECK(f.answers.wait("web-" + std::to_string(i)));
  CHECK_FALSE(f.answers.has("hang-1"));
}

TEST_CASE("Resolver that is destroyed waits for no lookup and answers nothing more", "[balance][resolver]") {
  Fixture f(1);
  f.resolve("hang", 80, "hang");
  f.resolve("queued", 80, "queued");
  REQUIRE(f.names->waitAsked("hang"));
  const auto start = lemonade::nowNs();
  f.loop.run([&] { f.resolver.reset(); });
  CHECK(lemonade::nowNs() - start < 2'000'000'000);
  f.names->release();
  REQUIRE(f.names->waitEnded(1));
  f.loop.run([] {});
  CHECK_FALSE(f.answers.has("hang"));
  CHECK_FALSE(f.answers.has("queued"));
  CHECK(f.names->asked("queued") == 0);
}

TEST_CASE("Resolver::resolveNow resolves localhost and names what does not resolve", "[balance][resolver]") {
  const auto local = Resolver::resolveNow("localhost", 80);
  REQUIRE(local.ok());
  for (const auto& text : texts(local)) CHECK((text == "127.0.0.1:80" || text == "[::1]:80"));
  CHECK(texts(Resolver::resolveNow("10.0.0.1", 1)) == std::vector<std::string>{"10.0.0.1:1"});
  const auto wrong = Resolver::resolveNow("no..such..name", 80);
  CHECK_FALSE(wrong.ok());
  CHECK(wrong.error.find("\"no..such..name\"") != std::string::npos);
}
