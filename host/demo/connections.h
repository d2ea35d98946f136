// SPDX-License-Identifier: MIT
//
// The HTTP connections that are open, so that a stop can end them between two requests. POCO's own way, the event of
// HTTPServer::stopAll(), misses a connection that is just being made, and would leave the stop waiting for it until its
// keep-alive ends.
//
// Connections come and go on threads of the server; endAll() comes from the owner's.
#pragma once

#include <Poco/Net/HTTPRequestHandlerFactory.h>
#include <Poco/Net/HTTPServerParams.h>
#include <Poco/Net/TCPServerConnectionFactory.h>

#include <mutex>
#include <unordered_set>

namespace lemonade::demo {

class Connections : public Poco::Net::TCPServerConnectionFactory {
 public:
  Connections(Poco::Net::HTTPServerParams::Ptr parameters, Poco::Net::HTTPRequestHandlerFactory::Ptr handlers);

  Poco::Net::TCPServerConnection* createConnection(const Poco::Net::StreamSocket& socket) override;

  /// Ends all connections, each after the request it is in, and from now on every new one at once.
  void endAll();

 private:
  class Connection;

  void add(Connection& connection);
  void remove(Connection& connection);

  const Poco::Net::HTTPServerParams::Ptr parameters_;
  const Poco::Net::HTTPRequestHandlerFactory::Ptr handlers_;

  std::mutex mutex_;  // guards what follows
  std::unordered_set<Connection*> open_;
  bool ending_ = false;
};

}  // namespace lemonade::demo
