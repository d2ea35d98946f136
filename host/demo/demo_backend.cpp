// SPDX-License-Identifier: MIT
#include "demo/demo_backend.h"

#include "base/log.h"
#include "demo/connections.h"

#include <Poco/JSON/Object.h>
#include <Poco/Net/HTTPRequestHandler.h>
#include <Poco/Net/HTTPRequestHandlerFactory.h>
#include <Poco/Net/HTTPServerParams.h>
#include <Poco/Net/HTTPServerRequest.h>
#include <Poco/Net/HTTPServerResponse.h>
#include <Poco/Net/TCPServer.h>
#include <Poco/ThreadPool.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <sstream>

namespace lemonade::demo {
namespace {

using Poco::Net::HTTPRequest;
using Poco::Net::HTTPResponse;
using Poco::Net::HTTPServerRequest;
using Poco::Net::HTTPServerResponse;

constexpr int kMaxConnections = 4'096;  // each takes a thread; what is beyond waits
constexpr int kBacklog = 4'096;
constexpr int kThreadIdleSeconds = 10;
constexpr int kKeepAliveSeconds = 75;  // nginx's, so that a balancer in front sees what it sees elsewhere

/// Lets requests wait for their delay, until the backend stops.
class Delay {
 public:
  explicit Delay(Duration delay) : delay_(delay) {}

  void wait() {
    if (delay_ == Duration::zero()) return;
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, delay_, [this] { return ended_; });
  }
  void end() {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }
  std::int64_t millis() const { return std::chrono::duration_cast<std::chrono::milliseconds>(delay_).count(); }

 private:
  const Duration delay_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
};

/// What all requests share.
struct Service {
  explicit Service(const DemoOptions& options) : name(options.name), delay(options.delay) {}

  const std::string name;
  Delay delay;
  std::atomic<std::uint64_t> requests{0};  // to /work
};

class Handler : public Poco::Net::HTTPRequestHandler {
 public:
  explicit Handler(Service& service) : service_(service) {}

  void handleRequest(HTTPServerRequest& request, HTTPServerResponse& response) override {
    const auto& method = request.getMethod();
    const bool reads = method == HTTPRequest::HTTP_GET || method == HTTPRequest::HTTP_HEAD;
    const auto path = request.getURI().substr(0, request.getURI().find('?'));
    Poco::JSON::Object body(Poco::JSON_PRESERVE_KEY_ORDER);
    auto status = HTTPResponse::HTTP_OK;
    if (reads && path == "/health") {
      body.set("status", "ok");
      body.set("worker", service_.name);
    } else if (reads && path == "/work") {
      const auto number = ++service_.requests;
      service_.delay.wait();
      body.set("worker", service_.name);
      body.set("request", number);
      body.set("delay_ms", service_.delay.millis());
    } else {
      status = HTTPResponse::HTTP_NOT_FOUND;
      body.set("error", "there are GET /health and GET /work");
      body.set("worker", service_.name);
    }
    answer(request, response, status, body);
  }

 private:
  static void answer(const HTTPServerRequest& request, HTTPServerResponse& response, HTTPResponse::HTTPStatus status,
                     const Poco::JSON::Object& body) {
    std::ostringstream text;
    body.stringify(text);
    text << '\n';
    const auto bytes = std::move(text).str();
    response.setStatusAndReason(status);
    response.setContentType("application/json");
    // A body that nobody read would be taken for the next request.
    const bool has_body = request.getChunkedTransferEncoding() || request.getContentLength() > 0;
    if (has_body) response.setKeepAlive(false);
    response.sendBuffer(bytes.data(), bytes.size());
  }

  Service& service_;
};

class HandlerFactory : public Poco::Net::HTTPRequestHandlerFactory {
 public:
  explicit HandlerFactory(Service& service) : service_(service) {}
  Poco::Net::HTTPRequestHandler* createRequestHandler(const HTTPServerRequest&) override {
    return new Handler(service_);
  }

 private:
  Service& service_;
};

Poco::Net::HTTPServerParams::Ptr parameters() {
  Poco::Net::HTTPServerParams::Ptr parameters(new Poco::Net::HTTPServerParams);
  parameters->setMaxThreads(kMaxConnections);
  parameters->setMaxQueued(kMaxConnections);
  parameters->setThreadIdleTime(Poco::Timespan(kThreadIdleSeconds, 0));
  parameters->setKeepAlive(true);
  parameters->setKeepAliveTimeout(Poco::Timespan(kKeepAliveSeconds, 0));
  return parameters;
}

}  // namespace

class DemoBackend::Impl {
 public:
  explicit Impl(DemoOptions options)
      : options_(std::move(options)), service_(options_), threads_(2, kMaxConnections, kThreadIdleSeconds) {}

  Status start() {
    try {
      // Not ServerSocket(address): that shares the port with whoever asks for it.
      socket_.bind(Poco::Net::SocketAddress(options_.listen_address), true, false);
      socket_.listen(kBacklog);
      server_ = std::make_unique<Poco::Net::TCPServer>(connections_, threads_, socket_, parameters_);
      server_->start();
    } catch (const Poco::Exception& error) {
      return Error{"cannot listen on " + options_.listen_address + ": " + error.displayText()};
    }
    log::info("worker", "listening", {{"address", address()}, {"name", options_.name}});
    return success();
  }

  std::string address() const { return socket_.address().toString(); }

  std::uint64_t requests() const noexcept { return service_.requests; }

  void stop() {
    if (!server_) return;
    service_.delay.end();
    server_->stop();
    connections_->endAll();
    threads_.joinAll();
    server_.reset();
    socket_.close();
  }

 private:
  const DemoOptions options_;
  Service service_;
  Poco::ThreadPool threads_;
  Poco::Net::HTTPServerParams::Ptr parameters_ = parameters();
  Poco::SharedPtr<Connections> connections_{new Connections(parameters_, new HandlerFactory(service_))};
  Poco::Net::ServerSocket socket_;
  std::unique_ptr<Poco::Net::TCPServer> server_;
};

DemoBackend::DemoBackend(DemoOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}

DemoBackend::~DemoBackend() { stop(); }

Status DemoBackend::start() { return impl_->start(); }

std::string DemoBackend::address() const { return impl_->address(); }

std::uint64_t DemoBackend::requests() const noexcept { return impl_->requests(); }

void DemoBackend::stop() { impl_->stop(); }

}  // namespace lemonade::demo
