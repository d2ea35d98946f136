// SPDX-License-Identifier: MIT
#include "demo/connections.h"

#include <Poco/Net/HTTPServerConnection.h>

#include <utility>

namespace lemonade::demo {

class Connections::Connection : public Poco::Net::HTTPServerConnection {
 public:
  Connection(const Poco::Net::StreamSocket& socket, Connections& connections)
      : HTTPServerConnection(socket, connections.parameters_, connections.handlers_), connections_(connections) {
    connections_.add(*this);
  }
  ~Connection() override { connections_.remove(*this); }

  /// Waits for the request under way, then shuts the socket down.
  void end() { onServerStopped(false); }

 private:
  Connections& connections_;
};

Connections::Connections(Poco::Net::HTTPServerParams::Ptr parameters,
                         Poco::Net::HTTPRequestHandlerFactory::Ptr handlers)
    : parameters_(std::move(parameters)), handlers_(std::move(handlers)) {}

Poco::Net::TCPServerConnection* Connections::createConnection(const Poco::Net::StreamSocket& socket) {
  return new Connection(socket, *this);
}

void Connections::endAll() {
  const std::lock_guard lock(mutex_);
  ending_ = true;
  for (auto* connection : open_) connection->end();
}

void Connections::add(Connection& connection) {
  const std::lock_guard lock(mutex_);
  open_.insert(&connection);
  if (ending_) connection.end();
}

void Connections::remove(Connection& connection) {
  const std::lock_guard lock(mutex_);
  open_.erase(&connection);
}

}  // namespace lemonade::demo
