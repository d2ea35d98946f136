// SPDX-License-Identifier: MIT
//
// Against name servers of the test's own, on a port of theirs.
#include "balance/resolver.h"

#include "base/clock.h"
#include "base/control_loop.h"
#include "support/deadline.h"
#include "support/dns.h"

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>

using namespace lemonade;
using namespace lemonade::test;

namespace {

using Texts = std::vector<std::string>;
using Outcome = Resolution::Outcome;

/// A resolv.conf of its own.
class ResolvConf {
 public:
  explicit ResolvConf(const std::string& text) {
    char path[] = "/tmp/lemonade-test-resolv-XXXXXX";
    ::close(::mkstemp(path));
    path_ = path;
    write(text);
  }
  ~ResolvConf() { std::filesystem::remove(path_); }
  void write(const std::string& text) const { std::ofstream(path_) << text; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct Fixture {
  explicit Fixture(const std::string& text = "nameserver 127.0.0.1\n") : conf(text) { loop.start(); }
  ~Fixture() { loop.stop(); }

  void ask(const std::string& name) {
    loop.run([&] {
      resolver->resolve(name, [this, name](const Resolution& resolution) {
        const std::lock_guard lock(mutex);
        answers[name].push_back(resolution);
        changed.notify_all();
      });
    });
  }
  Resolution wait(const std::string& name) {
    std::unique_lock lock(mutex);
    REQUIRE(changed.wait_for(lock, 10s * timeFactor(), [&] { return !answers[name].empty(); }));
    return answers[name].back();
  }
  Resolution resolve(const std::string& name) {
    {
      const std::lock_guard lock(mutex);
      answers[name].clear();
    }
    ask(name);
    return wait(name);
  }
  std::size_t answered(const std::string& name) {
    const std::lock_guard lock(mutex);
    return answers[name].size();
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, std::vector<Resolution>> answers;
  Dns dns{0};
  ResolvConf conf;
  ControlLoop loop;
  std::unique_ptr<Resolver> resolver = std::make_unique<Resolver>(loop, NameServers{conf.path(), dns.port()});
};

/// The addresses of a host or, as "host:port priority/weight address", of a service.
Texts texts(const Resolution& resolution) {
  Texts result;
  for (const auto& target : resolution.targets) {
    std::string text;
    for (auto address : target.addresses) {
      const auto one = address.text();
      text += (text.empty() ? "" : ",") + one.substr(0, one.rfind(':'));
    }
    if (target.port != 0)
      text = target.host + ":" + std::to_string(target.port) + " " + std::to_string(target.priority) + "/" +
             std::to_string(target.weight) + " " + text;
    result.push_back(text);
  }
  return result;
}

std::string bytes(std::size_t count, char byte) { return std::string(count, byte); }

}  // namespace

TEST_CASE("Resolver answers numeric addresses before resolve returns", "[balance][resolver]") {
  Fixture f;
  f.ask("10.0.0.9");
  CHECK(f.answered("10.0.0.9") == 1);
  CHECK(texts(f.wait("10.0.0.9")) == Texts{"10.0.0.9"});
  CHECK(texts(f.resolve("2001:db8::1")) == Texts{"[2001:db8::1]"});
  CHECK(f.dns.asked() == 0);
}

TEST_CASE("Resolver sorts the addresses of a name and drops doubles", "[balance][resolver]") {
  Fixture f;
  f.dns.addresses("web.example", {"127.0.0.3", "::1", "127.0.0.2", "127.0.0.3", "::ffff:127.0.0.2"});
  const auto answer = f.resolve("web.example");
  CHECK(answer.ok());
  const auto found = texts(answer).at(0);
  // ::1 only where the machine has IPv6.
  CHECK((found == "127.0.0.2,127.0.0.3,[::1]" || found == "127.0.0.2,127.0.0.3"));
  f.dns.alias("other.example", "web.example");  // whose address is not in the answer
  CHECK(f.resolve("other.example").outcome == Outcome::kNotFound);
}

TEST_CASE("Resolver knows localhost and the names of /etc/hosts without asking a server", "[balance][resolver]") {
  Fixture f;
  const auto answer = f.resolve("localhost");
  REQUIRE(answer.ok());
  CHECK(texts(answer).at(0).find("127.0.0.1") == 0);
  CHECK(f.dns.asked() == 0);
}

TEST_CASE("Resolver tells a name that is not there from one that gave no answer", "[balance][resolver]") {
  Fixture f;
  f.dns.fail("broken.example", Dns::kServfail);
  f.dns.fail("shut.example", Dns::kRefused);
  f.dns.service("bare.example", {});
  f.dns.silence("silent.example");
  f.ask("silent.example");
  const auto nowhere = f.resolve("nowhere.example");
  CHECK(nowhere.outcome == Outcome::kNotFound);
  CHECK(nowhere.error == "name \"nowhere.example\" does not resolve: there is no such name");
  const auto bare = f.resolve("bare.example");
  CHECK(bare.outcome == Outcome::kNotFound);
  CHECK_THAT(bare.error, Catch::Contains("has no address"));
  const auto broken = f.resolve("broken.example");
  CHECK(broken.outcome == Outcome::kTemporary);
  CHECK_THAT(broken.error, Catch::Contains("no name server could answer (127.0.0.1)"));
  CHECK(f.resolve("shut.example").outcome == Outcome::kTemporary);
  const auto silent = f.wait("silent.example");
  CHECK(silent.outcome == Outcome::kTemporary);
  CHECK_THAT(silent.error, Catch::Contains("no name server answers (127.0.0.1)"));
}

TEST_CASE("Resolver refuses names that are none without asking", "[balance][resolver]") {
  Fixture f;
  for (const auto& name : {bytes(64, 'a') + ".example", std::string("no..such..name")})
    CHECK(f.resolve(name).outcome == Outcome::kNotFound);
}

TEST_CASE("Resolver asks once for a name that many wait for", "[balance][resolver]") {
  Fixture f;
  f.dns.silence("silent.example");
  for (int i = 0; i < 20; ++i) f.ask("silent.example");
  REQUIRE(eventually([&] { return f.dns.asked("silent.example", Dns::kA) == 1; }));
  f.dns.addresses("silent.example", {"127.0.0.1"});
  f.wait("silent.example");
  CHECK(eventually([&] { return f.answered("silent.example") == 20; }));
  CHECK(f.dns.asked("silent.example", Dns::kA) == 2);  // the second time because nobody answered
}

TEST_CASE("Resolver answers a thousand names while others are silent", "[balance][resolver]") {
  Fixture f;
  for (int i = 0; i < 40; ++i) f.dns.silence("silent-" + std::to_string(i));
  for (int i = 0; i < 40; ++i) f.ask("silent-" + std::to_string(i));
  for (int i = 0; i < 1'000; ++i) f.dns.addresses("web-" + std::to_string(i), {"127.0.0.1"});
  for (int i = 0; i < 1'000; ++i) f.ask("web-" + std::to_string(i));
  for (int i = 0; i < 1'000; ++i) CHECK(f.wait("web-" + std::to_string(i)).ok());
  // Nobody has told the test that these are silent for good: they are asked for as long as that takes.
  CHECK(f.wait("silent-0").outcome == Outcome::kTemporary);
}

TEST_CASE("Resolver asks the second server soon where the first is silent", "[balance][resolver]") {
  Fixture f("nameserver 127.0.0.2\nnameserver 127.0.0.1\n");
  const Dns silent(f.dns.port(), "127.0.0.2");
  const_cast<Dns&>(silent).silence("web.example");
  f.dns.addresses("web.example", {"127.0.0.7"});
  const Stopwatch watch;
  CHECK(texts(f.resolve("web.example")) == Texts{"127.0.0.7"});
  CHECK(watch.elapsed() < 500ms * timeFactor());
}

TEST_CASE("Resolver finds servers that resolv.conf names only later", "[balance][resolver]") {
  Fixture f("nameserver 127.0.0.9\n");
  f.dns.addresses("web.example", {"127.0.0.7"});
  CHECK(f.resolve("web.example").outcome == Outcome::kTemporary);
  f.conf.write("# a better one\nnameserver 127.0.0.1\n");
  CHECK(texts(f.resolve("web.example")) == Texts{"127.0.0.7"});
}

TEST_CASE("Resolver completes names by the search list, and no family from another domain", "[balance][resolver]") {
  Fixture f("nameserver 127.0.0.1\nsearch one.example two.example\n");
  f.dns.addresses("web.two.example", {"127.0.0.2"});
  CHECK(texts(f.resolve("web")) == Texts{"127.0.0.2"});
  f.dns.addresses("app.one.example", {"127.0.0.1"});
  f.dns.addresses("app.two.example", {"127.0.0.2", "::1"});
  CHECK(texts(f.resolve("app")) == Texts{"127.0.0.1"});
  // A server that fails for one domain says nothing about the next.
  f.dns.fail("api.one.example", Dns::kServfail);
  f.dns.addresses("api.two.example", {"127.0.0.2"});
  CHECK(f.resolve("api").outcome == Outcome::kTemporary);
  // With a dot the name itself comes first, with one at its end it is the only one.
  f.dns.addresses("a.b", {"127.0.0.4"});
  CHECK(texts(f.resolve("a.b")) == Texts{"127.0.0.4"});
  CHECK(f.resolve("web.").outcome == Outcome::kNotFound);
}

TEST_CASE("Resolver keeps a family that answers from one that does not", "[balance][resolver]") {
  Fixture f;
  f.dns.addresses("web.example", {"127.0.0.2"});
  SECTION("silent") { f.dns.silence("web.example", Dns::kAaaa); }
  SECTION("failing") { f.dns.fail("web.example", Dns::kAaaa, Dns::kServfail); }
  const Stopwatch watch;
  const auto answer = f.resolve("web.example");
  CHECK(watch.elapsed() < 500ms * timeFactor());
  CHECK(texts(answer) == Texts{"127.0.0.2"});
  CHECK(answer.targets.at(0).unlearnt == std::vector<int>{AF_INET6});
}

TEST_CASE("Resolver takes what does not fit into a datagram over TCP, and no more than 256 addresses",
          "[balance][resolver]") {
  Fixture f;
  std::vector<std::string> many;
  for (int i = 0; i < 4'000; ++i)
    many.push_back("127." + std::to_string(i / 65'536) + "." + std::to_string(i / 256 % 256) + "." +
                   std::to_string(i % 256));
  f.dns.addresses("forty.example", {many.begin() + 1, many.begin() + 41});
  f.dns.addresses("many.example", {many.begin() + 1, many.end()});
  CHECK(f.resolve("forty.example").targets.at(0).addresses.size() == 40);
  CHECK(f.dns.connections() == 1);
  const auto answer = f.resolve("many.example");
  CHECK(answer.targets.at(0).addresses.size() == 256);
  CHECK_THAT(answer.left_out, Catch::Contains("3743 of 3999 addresses"));
}

TEST_CASE("Resolver leaves out what no backend can have", "[balance][resolver]") {
  Fixture f;
  f.dns.addresses("odd.example", {"0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "127.0.0.5"});
  const auto odd = f.resolve("odd.example");
  CHECK(texts(odd) == Texts{"127.0.0.5"});
  CHECK_THAT(odd.left_out, Catch::StartsWith("5 unfit addresses"));
  f.dns.addresses("zero.example", {"0.0.0.0"});
  const auto zero = f.resolve("zero.example");
  CHECK(zero.outcome == Outcome::kNotFound);
  CHECK_THAT(zero.error, Catch::Contains("0.0.0.0"));
}

TEST_CASE("Resolver survives answers that make no sense, and learns nothing from them", "[balance][resolver]") {
  const std::vector<std::pair<std::string, Dns::Maker>> answers = {
      {"nothing but a header", [](auto question) { return std::string(question.substr(0, 12)); }},
      {"a byte", [](auto) { return "x"; }},
      {"noise", [](auto question) { return std::string(question.substr(0, 2)) + bytes(300, '\xff'); }},
      {"another question",
       [](auto question) {
         return Dns::answer(std::string(question.substr(0, 12)) + Dns::encoded("b") + bytes(4, 1), 0);
       }},
      {"more records than there are",
       [](auto question) {
         auto reply = Dns::answer(question, 0, {{Dns::kA, "\x7f\1\1\1"}});
         reply[6] = reply[7] = '\xff';
         return reply;
       }},
      {"data longer than the message",
       [](auto question) {
         auto reply = Dns::answer(question, 0, {{question[question.size() - 3], bytes(4, 1)}});
         reply[reply.size() - 5] = '\x7f';
         return reply;
       }},
      {"data of another length",
       [](auto question) {
         return Dns::answer(question, 0, {{question[question.size() - 3], "\1\2"}});
       }},
      {"a name that points at itself",
       [](auto question) {
         const auto at = static_cast<char>(question.size() + 12);
         return Dns::answer(question, 0, {{Dns::kCname, std::string("\xc0") + at}});
       }},
      {"an alias of itself",
       [](auto question) {
         return Dns::answer(question, 0, std::vector(200, std::pair<int, std::string>(Dns::kCname, "\xc0\x0c")));
       }},
      {"records of other types",
       [](auto question) {
         return Dns::answer(question, 0, {{16, "\5hello"}, {250, bytes(200, 7)}});
       }},
  };
  Fixture f;
  f.dns.addresses("web.example", {"127.0.0.1"});
  for (const auto& [what, maker] : answers) f.dns.answerBy("host." + std::to_string(what.size()), maker);
  for (const auto& [what, maker] : answers) f.dns.answerBy("_a._tcp." + std::to_string(what.size()), maker);
  for (const auto& [what, maker] : answers) f.ask("host." + std::to_string(what.size()));
  for (const auto& [what, maker] : answers) f.ask("srv:_a._tcp." + std::to_string(what.size()));
  for (const auto& [what, maker] : answers) {
    CAPTURE(what);
    CHECK_FALSE(f.wait("host." + std::to_string(what.size())).ok());
    CHECK_FALSE(f.wait("srv:_a._tcp." + std::to_string(what.size())).ok());
  }
  CHECK(f.resolve("web.example").ok());
}

TEST_CASE("Resolver finds the hosts of a service with port, priority and weight", "[balance][resolver]") {
  Fixture f;
  f.dns.service("_http._tcp.example", {{20, 0, 81, "b.example"},
                                       {10, 5, 80, "a.example"},
                                       {10, 7, 80, "a.example"},
                                       {30, 1, 80, "a.example"},
                                       {10, 1, 80, "gone.example"},
                                       {10, 1, 0, "a.example"},
                                       {10, 1, 80, "a b\"\n.example"}});
  f.dns.addresses("a.example", {"127.0.0.1", "127.0.0.2"});
  f.dns.addresses("b.example", {"127.0.0.3"});
  const auto answer = f.resolve("srv:_http._tcp.example");
  CHECK(texts(answer) ==
        Texts{"a.example:80 10/7 127.0.0.1,127.0.0.2", "gone.example:80 10/1 ", "b.example:81 20/0 127.0.0.3"});
  CHECK(answer.targets.at(1).unlearnt == std::vector<int>{AF_INET, AF_INET6});
  CHECK_THAT(answer.left_out, Catch::Contains("gone.example"));
}

TEST_CASE("Resolver waits a moment only for silent hosts of a service", "[balance][resolver]") {
  Fixture f;
  f.dns.service("_http._tcp.example", {{1, 1, 80, "a.example"}, {1, 1, 80, "silent.example"}});
  f.dns.addresses("a.example", {"127.0.0.1"});
  f.dns.silence("silent.example");
  const Stopwatch watch;
  CHECK(texts(f.resolve("srv:_http._tcp.example")) == Texts{"a.example:80 1/1 127.0.0.1", "silent.example:80 1/1 "});
  CHECK(watch.elapsed() < 500ms * timeFactor());
}

TEST_CASE("Resolver says when a service is not offered or not there", "[balance][resolver]") {
  Fixture f;
  f.dns.service("_a._tcp.example", {{0, 0, 0, ""}});
  f.dns.service("_b._tcp.example", {});
  f.dns.fail("_c._tcp.example", Dns::kServfail);
  CHECK(f.resolve("srv:_a._tcp.example").outcome == Outcome::kNotFound);
  const auto empty = f.resolve("srv:_b._tcp.example");
  CHECK(empty.outcome == Outcome::kNotFound);
  CHECK_THAT(empty.error, Catch::Contains("SRV record"));
  CHECK(f.resolve("srv:_c._tcp.example").outcome == Outcome::kTemporary);
  CHECK(f.resolve("srv:_d._tcp.example").outcome == Outcome::kNotFound);
}

TEST_CASE("Resolver takes no more than 256 hosts of a service", "[balance][resolver]") {
  Fixture f;
  std::vector<Dns::Record> records;
  for (std::uint16_t i = 1; i <= 1'500; ++i) records.push_back({0, 1, i, "a.example"});
  f.dns.service("_http._tcp.example", records);
  f.dns.addresses("a.example", {"127.0.0.1"});
  const auto answer = f.resolve("srv:_http._tcp.example");
  CHECK(answer.targets.size() == 256);
  CHECK_THAT(answer.left_out, Catch::Contains("1244 of 1500 hosts"));
  CHECK(f.dns.asked("a.example", Dns::kA) == 1);
}

TEST_CASE("Resolver that is destroyed waits for no lookup and answers nothing more", "[balance][resolver]") {
  Fixture f;
  f.dns.silence("silent.example");
  f.ask("silent.example");
  REQUIRE(eventually([&] { return f.dns.asked("silent.example", Dns::kA) != 0; }));
  const Stopwatch watch;
  f.loop.run([&] { f.resolver.reset(); });
  CHECK(watch.elapsed() < 150ms * timeFactor());
  f.loop.run([] {});
  CHECK(f.answered("silent.example") == 0);
}
