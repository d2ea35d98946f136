// SPDX-License-Identifier: MIT
//
// The balancer under test: see balancer.h.
#include "support/balancer.h"

#include "support/skip.h"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Parser.h>
#include <signal.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <sstream>

namespace lemonade::test {
namespace {

Environment withLog(Environment environment) {
  environment.try_emplace("LEMONADE_LOG", "info,access=debug");
  return environment;
}

Arguments commandLine(const TemporaryFolder& folder, const Config& config, Arguments wrapper) {
  const auto command = lemonade({"lb", "--config", folder.write("lemonade.toml", config.text())});
  wrapper.insert(wrapper.end(), command.begin(), command.end());
  return wrapper;
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "lemonade-test-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a folder like " + name);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryFolder::write(const std::string& name, std::string_view content) const {
  std::ofstream(path_ / name, std::ios::binary) << content;
  return (path_ / name).string();
}

Config::Config() {
  set("proxy.listen_address", "127.0.0.1:0");
  set("admin.listen_address", "127.0.0.1:0");
  set("admin.socket", "");  // of an installed balancer, where this machine has the folder for it
  set("strategy.algorithm", "round_robin");
  set("runtime.workers", 2);
  set("runtime.drain_timeout_millis", 2000);
  raw("plugins.directories", "[\"" + testPluginFolder() + "\"]");
  set("health.checker", "com.example.optimist");
  set("plugins.preflight", "reload");  // what a start refuses is for the tests of that
}

Config Config::verbatim(const std::string& text) {
  Config config;
  config.values_.clear();
  return config.toml(text);
}

Config& Config::raw(const std::string& key, const std::string& value) {
  values_[key] = value;
  return *this;
}

Config& Config::unset(const std::string& key) {
  values_.erase(key);
  return *this;
}

Config& Config::backend(const std::string& id, const std::string& address, const std::string& more) {
  backends_ += "[[backends]]\nid = \"" + id + "\"\naddress = \"" + address + "\"\n" + more + "\n";
  return *this;
}

Config& Config::listener(const std::string& name, const std::string& pool, const std::string& more) {
  return toml("[[listeners]]\nname = \"" + name + "\"\naddress = \"127.0.0.1:0\"\npool = \"" + pool + "\"\n" + more);
}

Config& Config::toml(const std::string& text) {
  rest_ += text + "\n";
  return *this;
}

Config& Config::realChecks() {
  return set("health.checker", "tcp").set("health.interval", "100ms").set("health.rise", 1).set("health.fall", 1);
}

std::string Config::text() const {
  std::string text;
  // The conformance suite where the kernel forwards.
  if (std::getenv("LEMONADE_TEST_FORWARD") != nullptr && values_.contains("proxy.listen_address"))
    text += std::string("proxy.forward = \"") + std::getenv("LEMONADE_TEST_FORWARD") + "\"\n";
  for (const auto& [key, value] : values_) text += key + " = " + value + "\n";
  return text + backends_ + rest_;
}

Balancer::Balancer(const Config& config, const Environment& environment, const Arguments& wrapper)
    : process_(commandLine(folder_, config, wrapper), withLog(environment)) {
  process_.waitForLog("app: ready", 20s);
  if (!environment.contains("LEMONADE_LB_RELAY")) requireRelayUnderTest();
}

void Balancer::requireRelayUnderTest() {
  const char* const wanted = std::getenv("LEMONADE_TEST_RELAY");
  if (wanted == nullptr) return;
  const auto line = process_.waitForLog("proxy: relay chosen");
  const auto relay = field(line, "relay");
  if (relay == wanted) return;
  if (std::string_view(wanted) == "io_uring") skip(field(line, "reason"));
  throw std::logic_error("the test is about the relay over " + std::string(wanted) + ", and " + relay + " ran");
}

Balancer::~Balancer() {
  if (const auto code = process_.wait(0ms); !code) process_.signal(SIGTERM);
  const auto code = process_.wait(20s);
  if (std::uncaught_exceptions() > 0) {
    std::cerr << "---- the balancer wrote:\n" << process_.err() << "----\n";
    return;
  }
  INFO(process_.err());
  CHECK(code.value_or(-1) == expected_code_);
}

std::string Balancer::address(std::size_t listener) {
  std::size_t found = 0;
  std::istringstream lines(process_.err());
  for (std::string line; std::getline(lines, line);)
    if (line.find("proxy: listening") != std::string::npos && found++ == listener) return field(line, "address");
  throw std::out_of_range("the balancer has no listener " + std::to_string(listener));
}

std::string Balancer::addressOf(const std::string& listener) {
  const auto listeners = status()->getArray("listeners");
  for (unsigned i = 0; i < listeners->size(); ++i)
    if (const auto one = listeners->getObject(i); one->getValue<std::string>("name") == listener)
      return one->getArray("addresses")->getElement<std::string>(0);
  throw std::out_of_range("the balancer has no listener " + listener);
}

std::string Balancer::adminAddress() { return field(process_.waitForLog("admin: listening"), "address"); }

std::string Balancer::askAt(const std::string& address) {
  try {
    return Socket::connect(address).receiveLine();
  } catch (const ResetError&) {
    return "";
  }
}

Poco::JSON::Object::Ptr Balancer::status() {
  return Poco::JSON::Parser().parse(admin("/api/v1/status").body).extract<Poco::JSON::Object::Ptr>();
}

Poco::JSON::Object::Ptr Balancer::backend(const std::string& id) {
  const auto backends = status()->getArray("backends");
  for (unsigned i = 0; i < backends->size(); ++i)
    if (backends->getObject(i)->getValue<std::string>("id") == id) return backends->getObject(i);
  throw std::out_of_range("the status has no backend " + id);
}

int Balancer::active(const std::string& id) { return backend(id)->getValue<int>("active"); }

double Balancer::metric(const std::string& name, const std::vector<std::string>& labels) {
  double sum = 0;
  std::istringstream lines(admin("/metrics").body);
  for (std::string line; std::getline(lines, line);) {
    const std::string series = line.substr(0, line.rfind(' '));
    if (series.substr(0, series.find('{')) != name) continue;
    bool wanted = true;
    for (const auto& label : labels) wanted = wanted && series.find(label) != std::string::npos;
    if (wanted) sum += std::stod(line.substr(line.rfind(' ') + 1));
  }
  return sum;
}

int Balancer::stop(Millis within) {
  process_.signal(SIGTERM);
  return process_.wait(within).value_or(-1);
}

std::string field(const std::string& line, const std::string& name) {
  const auto start = line.find(" " + name + "=");
  if (start == std::string::npos) return "";
  const auto value = start + name.size() + 2;
  if (line[value] == '"') return line.substr(value + 1, line.find('"', value + 1) - value - 1);
  return line.substr(value, line.find(' ', value) - value);
}

std::string testPluginFolder() { return LEMONADE_TEST_PLUGINS; }

std::string testPlugin(const std::string& name) { return testPluginFolder() + "/" + name + ".so"; }

}  // namespace lemonade::test
