// SPDX-License-Identifier: MIT
//
// Poco::Net::HTTPServer between the routes and the sockets.
#include "admin/server.h"

#include <Poco/Net/HTTPRequestHandler.h>
#include <Poco/Net/HTTPRequestHandlerFactory.h>
#include <Poco/Net/HTTPServer.h>
#include <Poco/Net/HTTPServerParams.h>
#include <Poco/Net/HTTPServerRequest.h>
#include <Poco/Net/HTTPServerRequestImpl.h>
#include <Poco/Net/HTTPServerResponse.h>
#include <Poco/ThreadPool.h>
#include <Poco/URI.h>
#include <fcntl.h>
#include <pthread.h>

#include <array>
#include <istream>
#include <optional>

#include "admin/routes.h"
#include "admin/sockets.h"
#include "base/log.h"

namespace lemonade::admin {

namespace {

using Poco::Net::HTTPServerRequest;
using Poco::Net::HTTPServerResponse;

/// How much of a body that is too large is read and thrown away, so that the client gets to read why.
constexpr std::size_t kMaxDiscarded = std::size_t{16} << 20;

/// The body, or nothing where it is larger than limit.
std::optional<std::string> readBody(HTTPServerRequest& request, std::size_t limit) {
  // Without either there is no body (RFC 9112, 6.3), and waiting for one would last until the client gives up.
  if (!request.hasContentLength() && !request.getChunkedTransferEncoding()) return std::string{};
  std::string body;
  std::size_t size = 0;
  std::array<char, 16'384> chunk;
  auto& in = request.stream();
  while (size <= limit + kMaxDiscarded) {
    in.read(chunk.data(), chunk.size());
    const auto got = static_cast<std::size_t>(in.gcount());
    if (got == 0) break;
    size += got;
    if (size <= limit) body.append(chunk.data(), got);
  }
  if (size > limit) return std::nullopt;
  return body;
}

Response respond(HTTPServerRequest& request, const Routes& routes, std::size_t body_limit) {
  Request plain;
  try {
    const Poco::URI uri(request.getURI());
    plain.path = uri.getPath();
    plain.query = uri.getRawQuery();
  } catch (const Poco::Exception&) {
    return errorResponse(400, "the request target is no valid URI");
  }
  auto body = readBody(request, body_limit);
  if (!body) return errorResponse(413, "a body has at most " + std::to_string(body_limit) + " bytes here");
  plain.body = std::move(*body);
  plain.method = request.getMethod();
  plain.accept = request.get("Accept", "");
  return routes.answer(plain);
}

}  // namespace

/// Shared with the threads of the server, which may be left behind by stop().
struct Server::State {
  explicit State(Limits chosen)
      : limits(chosen), pool("admin", 1, std::max(1, chosen.threads)), guard(std::make_shared<SocketGuard>()) {}

  const Limits limits;
  Routes routes;
  std::string address;
  Poco::ThreadPool pool;
  const std::shared_ptr<SocketGuard> guard;
  std::unique_ptr<Poco::Net::HTTPServer> server;
};

namespace {

class RequestHandler : public Poco::Net::HTTPRequestHandler {
 public:
  RequestHandler(const Routes& routes, const Limits& limits) : routes_(routes), limits_(limits) {}

  void handleRequest(HTTPServerRequest& request, HTTPServerResponse& response) override {
    (void)::pthread_setname_np(::pthread_self(), "admin");  // what top -H shows; the pool's own name is its secret
    const auto answer = respond(request, routes_, limits_.body);
    auto& socket = static_cast<Poco::Net::HTTPServerRequestImpl&>(request).socket();
    static_cast<Connection*>(socket.impl())->setTime(limits_.response_time);
    response.setStatusAndReason(static_cast<Poco::Net::HTTPResponse::HTTPStatus>(answer.status));
    response.setContentType(answer.content_type);
    for (const auto& [name, value] : answer.headers) response.set(name, value);
    response.setKeepAlive(false);
    response.sendBuffer(answer.body.data(), answer.body.size());
  }

 private:
  const Routes& routes_;
  const Limits& limits_;
};

class HandlerFactory : public Poco::Net::HTTPRequestHandlerFactory {
 public:
  HandlerFactory(const Routes& routes, const Limits& limits) : routes_(routes), limits_(limits) {}
  Poco::Net::HTTPRequestHandler* createRequestHandler(const HTTPServerRequest&) override {
    return new RequestHandler(routes_, limits_);
  }

 private:
  const Routes& routes_;
  const Limits& limits_;
};

Poco::Net::HTTPServerParams::Ptr parameters(const Limits& limits) {
  Poco::Net::HTTPServerParams::Ptr params = new Poco::Net::HTTPServerParams;
  params->setMaxThreads(limits.threads);
  params->setMaxQueued(limits.queued);
  params->setKeepAlive(false);
  return params;
}

}  // namespace

Server::Server(Limits limits) : state_(std::make_shared<State>(limits)) {}

Server::~Server() { stop(Duration::zero()); }

void Server::handle(std::string method, std::string path, Handler handler) {
  state_->routes.add(std::move(method), std::move(path), std::move(handler));
}

Status Server::start(const std::string& address) {
  auto& state = *state_;
  try {
    Listener listener(state.guard, state.limits.request_time);
    listener.bind(Poco::Net::SocketAddress(address), true, false);
    ::fcntl(listener.impl()->sockfd(), F_SETFD, FD_CLOEXEC);
    listener.listen(128);
    state.address = listener.address().toString();
    state.server = std::make_unique<Poco::Net::HTTPServer>(new HandlerFactory(state.routes, state.limits), state.pool,
                                                           listener, parameters(state.limits));
    state.server->start();
  } catch (const Poco::Exception& e) {
    return Error{"cannot listen on " + address + ": " + e.displayText()};
  }
  log::info("admin", "listening", {{"address", state.address}});
  return success();
}

std::string Server::address() const { return state_ ? state_->address : ""; }

bool Server::stop(Duration grace) {
  const auto state = std::exchange(state_, nullptr);
  if (!state || !state->server) return true;
  const auto deadline_ns = nowNs() + static_cast<std::uint64_t>(grace.count());
  state->guard->stopReading();
  state->server->stop();
  if (state->guard->awaitNone(deadline_ns)) return true;
  state->guard->stopWriting();
  // What only waited for its client ends now; that takes a moment.
  if (state->guard->awaitNone(nowNs() + 200'000'000)) return true;
  log::warning("admin", "a request hangs and is left behind", {{"address", state->address}});
  static auto& left_behind = *new std::vector<std::shared_ptr<State>>;  // never destroyed
  left_behind.push_back(state);
  return false;
}

}  // namespace lemonade::admin
