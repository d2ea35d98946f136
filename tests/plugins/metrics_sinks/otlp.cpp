// SPDX-License-Identifier: MIT
#include "support/sink_fixture.h"

#include <Poco/InflatingStream.h>
#include <Poco/JSON/Object.h>
#include <Poco/JSON/Parser.h>
#include <Poco/Net/HTTPRequestHandler.h>
#include <Poco/Net/HTTPRequestHandlerFactory.h>
#include <Poco/Net/HTTPServer.h>
#include <Poco/Net/HTTPServerRequest.h>
#include <Poco/Net/HTTPServerResponse.h>
#include <Poco/Net/ServerSocket.h>
#include <Poco/StreamCopier.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cmath>
#include <deque>
#include <limits>
#include <map>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace lemonade::test;
using namespace std::chrono_literals;

namespace {

using Poco::JSON::Array;
using Poco::JSON::Object;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// What a receiver answers: 200 and nothing, unless told otherwise.
struct Reply {
  int status = 200;
  std::string body = {};
  std::string retry_after = {};
  std::chrono::milliseconds delay{0};
};

/// A receiver of HTTP that keeps what it is sent, and answers as it was told: the replies in turn, then the default.
class Receiver {
 public:
  struct Request {
    std::string path, body;
    std::map<std::string, std::string> headers;
  };

  explicit Receiver(std::deque<Reply> replies = {})
      : replies_(std::move(replies)),
        socket_(Poco::Net::SocketAddress("127.0.0.1", 0)),
        server_(new Factory(*this), socket_, new Poco::Net::HTTPServerParams) {
    server_.start();
  }
  ~Receiver() { server_.stopAll(true); }
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  std::string url(const std::string& path = "") const { return "http://" + socket_.address().toString() + path; }
  std::vector<Request> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  struct Handler : Poco::Net::HTTPRequestHandler {
    explicit Handler(Receiver& of) : receiver(of) {}
    void handleRequest(Poco::Net::HTTPServerRequest& request, Poco::Net::HTTPServerResponse& response) override {
      Request kept{request.getURI(), {}, {}};
      for (const auto& [name, value] : request) kept.headers[name] = value;
      if (request.get("Content-Encoding", "") == "gzip") {
        Poco::InflatingInputStream inflater(request.stream(), Poco::InflatingStreamBuf::STREAM_GZIP);
        Poco::StreamCopier::copyToString(inflater, kept.body);
      } else {
        Poco::StreamCopier::copyToString(request.stream(), kept.body);
      }
      const auto reply = receiver.take(std::move(kept));
      std::this_thread::sleep_for(reply.delay);
      response.setStatus(static_cast<Poco::Net::HTTPResponse::HTTPStatus>(reply.status));
      response.setContentType("application/json");
      if (!reply.retry_after.empty()) response.set("Retry-After", reply.retry_after);
      response.sendBuffer(reply.body.data(), reply.body.size());
    }
    Receiver& receiver;
  };
  struct Factory : Poco::Net::HTTPRequestHandlerFactory {
    explicit Factory(Receiver& of) : receiver(of) {}
    Poco::Net::HTTPRequestHandler* createRequestHandler(const Poco::Net::HTTPServerRequest&) override {
      return new Handler(receiver);
    }
    Receiver& receiver;
  };

  Reply take(Request request) {
    const std::lock_guard lock(mutex_);
    requests_.push_back(std::move(request));
    if (replies_.empty()) return {};
    const auto reply = replies_.front();
    replies_.pop_front();
    return reply;
  }

  std::mutex mutex_;
  std::vector<Request> requests_;
  std::deque<Reply> replies_;
  Poco::Net::ServerSocket socket_;
  Poco::Net::HTTPServer server_;
};

Object::Ptr parsed(const std::string& json) { return Poco::JSON::Parser().parse(json).extract<Object::Ptr>(); }

/// The only entry of an array that is a member.
Object::Ptr only(const Object::Ptr& object, const std::string& name) {
  const auto array = object->getArray(name);
  REQUIRE(array);
  REQUIRE(array->size() == 1);
  return array->getObject(0);
}

std::map<std::string, std::string> attributes(const Object::Ptr& object) {
  std::map<std::string, std::string> all;
  const auto array = object->getArray("attributes");
  for (unsigned i = 0; i < array->size(); ++i)
    all[array->getObject(i)->getValue<std::string>("key")] =
        array->getObject(i)->getObject("value")->getValue<std::string>("stringValue");
  return all;
}

Array::Ptr metrics(const std::string& body) {
  return only(only(parsed(body), "resourceMetrics"), "scopeMetrics")->getArray("metrics");
}

std::map<std::string, std::string> resource(const std::string& body) {
  return attributes(only(parsed(body), "resourceMetrics")->getObject("resource"));
}

std::size_t points(const std::string& body) {
  std::size_t count = 0;
  const auto all = metrics(body);
  for (unsigned i = 0; i < all->size(); ++i)
    count += all->getObject(i)->getObject("gauge")->getArray("dataPoints")->size();
  return count;
}

std::string start(const Receiver::Request& request) {
  return only(metrics(request.body)->getObject(0)->getObject("sum"), "dataPoints")
      ->getValue<std::string>("startTimeUnixNano");
}

SnapshotText someGauge() {
  SnapshotText text;
  text.gauge("g").series(1);
  return text;
}

SnapshotText counted(double value, std::uint64_t unix_ns, std::uint64_t uptime_ns, double upgrades = 0) {
  SnapshotText text;
  text.counter("c_total").series(value);
  if (upgrades > 0) text.counter("lemonade_upgrades_total").series(upgrades, {{"result", "completed"}});
  return text.at(unix_ns, uptime_ns);
}

std::string refusal(const std::map<std::string, std::string>& options) {
  try {
    const SinkFixture sink(LEMONADE_PLUGIN, options);
    return "";
  } catch (const std::runtime_error& e) {
    return e.what();
  }
}

}  // namespace

TEST_CASE("counters are monotonic sums, gauges are gauges, and both have their labels and units", "[sink]") {
  Receiver receiver;
  SinkFixture sink(LEMONADE_PLUGIN, {{"endpoint", receiver.url()}});
  SnapshotText text;
  text.counter("sent_bytes_total")
      .series(42, {{"backend", "a"}})
      .gauge("age_seconds")
      .series(-0.5)
      .series(std::nan(""));
  CHECK(sink.flush(text) == "");
  REQUIRE(receiver.requests().size() == 1);
  const auto request = receiver.requests()[0];
  CHECK(request.path == "/v1/metrics");
  CHECK(request.headers.at("Content-Type") == "application/json");
  const auto all = metrics(request.body);
  REQUIRE(all->size() == 2);
  const auto bytes = all->getObject(0);
  CHECK(bytes->getValue<std::string>("name") == "sent_bytes_total");
  CHECK(bytes->getValue<std::string>("description") == "Help.");
  CHECK(bytes->getValue<std::string>("unit") == "By");
  CHECK(bytes->getObject("sum")->getValue<int>("aggregationTemporality") == 2);
  CHECK(bytes->getObject("sum")->getValue<bool>("isMonotonic"));
  const auto point = only(bytes->getObject("sum"), "dataPoints");
  CHECK(point->getValue<double>("asDouble") == 42);
  CHECK(attributes(point) == std::map<std::string, std::string>{{"backend", "a"}});
  CHECK(point->get("timeUnixNano").isString());  // as the JSON of protobuf has 64 bits
  CHECK(point->getValue<std::string>("timeUnixNano") == "1700000000000000000");
  CHECK(point->getValue<std::string>("startTimeUnixNano") == "1699999940000000000");
  const auto age = all->getObject(1);
  CHECK(age->getValue<std::string>("unit") == "s");
  CHECK(only(age->getObject("gauge"), "dataPoints")->getValue<double>("asDouble") == -0.5);
}

TEST_CASE("histograms have explicit bounds and the samples of each bucket alone", "[sink]") {
  Receiver receiver;
  SinkFixture sink(LEMONADE_PLUGIN, {{"endpoint", receiver.url("/custom")}});
  SnapshotText text;
  text.histogram("h_seconds").series({{0.001, 3}, {0.0025, 0}, {kInfinity, 2}}, 1.25);
  CHECK(sink.flush(text) == "");
  CHECK(receiver.requests()[0].path == "/custom");
  const auto histogram = metrics(receiver.requests()[0].body)->getObject(0)->getObject("histogram");
  CHECK(histogram->getValue<int>("aggregationTemporality") == 2);
  const auto point = only(histogram, "dataPoints");
  CHECK(point->getValue<std::string>("count") == "5");
  CHECK(point->getValue<double>("sum") == 1.25);
  std::ostringstream counts, bounds;
  point->getArray("bucketCounts")->stringify(counts);
  point->getArray("explicitBounds")->stringify(bounds);
  CHECK(counts.str() == R"(["3","0","2"])");
  CHECK(bounds.str() == "[0.001,0.0025]");
}

TEST_CASE("the sender says who it is, and what the operator says is preferred", "[sink]") {
  Receiver receiver;
  SinkFixture sink(LEMONADE_PLUGIN, {{"endpoint", receiver.url()},
                                     {"service_instance_id", "lb-1"},
                                     {"resource_attributes", "deployment.environment=a%2Cb , service.name=edge"},
                                     {"headers", "Authorization=Bearer%20abc,X-Scope=7"}});
  SnapshotText text;
  text.gauge("lemonade_build_info").series(1, {{"version", "9.8.7"}, {"abi", "1.1"}});
  CHECK(sink.flush(text) == "");
  const auto request = receiver.requests()[0];
  CHECK(resource(request.body) == std::map<std::string, std::string>{{"deployment.environment", "a,b"},
                                                                     {"service.name", "edge"},
                                                                     {"service.instance.id", "lb-1"},
                                                                     {"service.version", "9.8.7"}});
  CHECK(request.headers.at("Authorization") == "Bearer abc");
  CHECK(request.headers.at("X-Scope") == "7");
}

TEST_CASE("requests are compressed where that is asked for", "[sink]") {
  Receiver receiver;
  SinkFixture sink(LEMONADE_PLUGIN, {{"endpoint", receiver.url()}, {"compression", "gzip"}});
  auto text = someGauge();
  CHECK(sink.flush(text) == "");
  CHECK(receiver.requests()[0].headers.at("Content-Encoding") == "gzip");
  CHECK(points(receiver.requests()[0].body) == 1);
}

TEST_CASE("a large snapshot is several requests", "[sink]") {
  Receiver receiver;
  SinkFixture sink(LEMONADE_PLUGIN, {{"endpoint", receiver.url()}, {"batch", "100"}});
  SnapshotText text;
  for (const char* name : {"a", "b"}) {
    text.gauge(name);
    for (int i = 0; i < 125; ++i) text.series(i, {{"backend", std::to_string(i)}});
  }
  CHECK(sink.flush(text) == "");
  std::vector<std::size_t> sizes;
  for (const auto& request : receiver.requests()) sizes.push_back(points(request.body));
  CHECK(sizes == std::vector<std::size_t>{100, 100, 50});
}

TEST_CASE("a counter starts with the process, and anew where it went back", "[sink]") {
  Receiver receiver;
  SinkFixture sink(LEMONADE_PLUGIN, {{"endpoint", receiver.url()}});
  for (auto text :
       {counted(5, 1'000, 100), counted(6, 2'000, 1'100), counted(1, 3'000, 2'100), counted(2, 4'000, 3'100)})
    CHECK(sink.flush(text) == "");
  std::vector<std::string> starts;
  for (const auto& request : receiver.requests()) starts.push_back(start(request));
  CHECK(starts == std::vector<std::string>{"900", "900", "2000", "2000"});
}

TEST_CASE("a process that took numbers over from another does not know when they started", "[sink]") {
  Receiver receiver;
  SinkFixture sink(LEMONADE_PLUGIN, {{"endpoint", receiver.url()}});
  for (auto text : {counted(5, 1'000, 100, 1), counted(6, 2'000, 1'100, 1)}) CHECK(sink.flush(text) == "");
  CHECK(start(receiver.requests()[0]) == "1000");
  CHECK(start(receiver.requests()[1]) == "1000");
}

TEST_CASE("what may pass is tried again, within the time of the flush", "[sink]") {
  Receiver receiver({{503}, {429, "", "1"}});
  SinkFixture sink(LEMONADE_PLUGIN, {{"endpoint", receiver.url()}});
  auto text = someGauge();
  const auto begin = std::chrono::steady_clock::now();
  CHECK(sink.flush(text) == "");
  CHECK(std::chrono::steady_clock::now() - begin >= 1s);  // as Retry-After had it
  CHECK(receiver.requests().size() == 3);
  CHECK(sink.metric("otlp_retries_total") == 2);
}

TEST_CASE("what would not pass is reported with the answer and not tried again", "[sink]") {
  Receiver receiver({{400, "no such\ntenant"}});
  SinkFixture sink(LEMONADE_PLUGIN, {{"endpoint", receiver.url()}});
  auto text = someGauge();
  CHECK(sink.flush(text) == R"(answered 400 "no such\ntenant")");
  CHECK(receiver.requests().size() == 1);
  CHECK(sink.flush(text) == "");
}

TEST_CASE("a receiver that wants to be left alone for longer than a flush lasts is", "[sink]") {
  Receiver receiver({{429, "", "3600"}});
  SinkFixture sink(LEMONADE_PLUGIN, {{"endpoint", receiver.url()}});
  auto text = someGauge();
  CHECK(sink.flush(text) == "answered 429");
  CHECK_THAT(sink.flush(text), Catch::Contains("the receiver wants nothing for 3"));
  CHECK(receiver.requests().size() == 1);
}

TEST_CASE("a receiver that is slow or away costs no more than the timeout or the deadline", "[sink]") {
  Receiver receiver({{200, "", "", 3s}, {200, "", "", 3s}});
  auto text = someGauge();
  SinkFixture impatient(LEMONADE_PLUGIN, {{"endpoint", receiver.url()}, {"timeout", "300"}});
  SinkFixture late(LEMONADE_PLUGIN, {{"endpoint", receiver.url()}});
  SinkFixture away(LEMONADE_PLUGIN, {{"endpoint", "http://127.0.0.1:1"}, {"timeout", "300"}});
  const auto begin = std::chrono::steady_clock::now();
  CHECK_THAT(impatient.flush(text), Catch::Contains("timed out"));
  CHECK_THAT(late.flush(text, 300ms), Catch::Contains("timed out"));
  CHECK_THAT(away.flush(text), Catch::Contains("connect"));
  CHECK(std::chrono::steady_clock::now() - begin < 2500ms);
}

TEST_CASE("partial success is counted each time and logged once", "[sink]") {
  const Reply partial{200, R"({"partialSuccess":{"rejectedDataPoints":"3","errorMessage":"too old"}})"};
  Receiver receiver({partial, partial, {200, "{}"}, {200, "{\"partialSuccess\":" + std::string(60'000, '[')}});
  SinkFixture sink(LEMONADE_PLUGIN, {{"endpoint", receiver.url()}});
  auto text = someGauge();
  for (int i = 0; i < 4; ++i) CHECK(sink.flush(text) == "");
  CHECK(sink.metric("otlp_points_rejected_total") == 6);
  CHECK(sink.log() == std::vector<std::string>{R"(the receiver rejected 3 data points: "too old")"});
}

TEST_CASE("endpoints, headers and attributes that cannot be are refused, and no secret is shown", "[sink]") {
  for (const char* url : {"", "ftp://a/b", "127.0.0.1:4318", "http://", "http://a:99999/"})
    CHECK_THAT(refusal({{"endpoint", url}}), Catch::StartsWith("endpoint: give a URL"));
  CHECK_THAT(refusal({{"endpoint", "http://user:secret@host/"}}),
             Catch::StartsWith("endpoint: leave the password out") && !Catch::Contains("secret"));
  for (const char* headers : {"secret", "A=b,secret", "=secret", "A=%zz secret", "A B=secret", "A=secret%0a"})
    CHECK_THAT(refusal({{"headers", headers}}), Catch::StartsWith("headers: pair ") && !Catch::Contains("secret"));
  CHECK_THAT(refusal({{"resource_attributes", "a"}}), Catch::StartsWith("resource_attributes: pair 1"));
  CHECK(refusal({{"endpoint", "https://[::1]:4318"}, {"headers", "A=b, C=d"}}) == "");
}
