// SPDX-License-Identifier: MIT
#include "cli/client.h"

#include "config/file.h"

#include <Poco/Exception.h>
#include <Poco/Net/HTTPClientSession.h>
#include <Poco/Net/HTTPRequest.h>
#include <Poco/Net/HTTPResponse.h>
#include <Poco/Net/SocketAddress.h>
#include <Poco/Net/StreamSocket.h>
#include <Poco/StreamCopier.h>
#include <Poco/URI.h>

#include <cerrno>
#include <cstdlib>
#include <sstream>

namespace lemonade::cli {

namespace {

namespace net = Poco::Net;

constexpr const char* kTokenVariable = "LEMONADE_ADMIN_TOKEN_FILE";
const Poco::Timespan kConnectTime(5, 0);

net::StreamSocket connectTo(const Place& place) {
  net::StreamSocket socket;
  if (place.socket.empty())
    socket.connect(net::SocketAddress(place.address), kConnectTime);
  else
    socket.connect(net::SocketAddress(net::SocketAddress::UNIX_LOCAL, place.socket));
  return socket;
}

/// What may be done about a place where nobody answers.
std::string mendFor(const Place& place, int code) {
  if (code == EACCES) return "; ask as root, as the user of the balancer or as one of its group ([admin] socket_mode)";
  if (place.socket.empty() || code == ENOENT || code == ECONNREFUSED)
    return "; does it run, and is this its place? Give --admin or --config";
  return "";
}

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t\r");
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

}  // namespace

Result<Reply> Client::ask(const std::string& method, const std::string& path, Duration patience) try {
  net::HTTPClientSession session(connectTo(place_));
  session.setTimeout(Poco::Timespan(std::chrono::duration_cast<std::chrono::microseconds>(patience).count()));
  net::HTTPRequest request(method, path, net::HTTPRequest::HTTP_1_1);
  request.set("Host", place_.socket.empty() ? place_.address : "localhost");
  request.setContentLength(0);
  if (!token_.empty()) request.set("Authorization", "Bearer " + token_);
  session.sendRequest(request);
  net::HTTPResponse response;
  std::ostringstream body;
  Poco::StreamCopier::copyStream(session.receiveResponse(response), body);
  return Reply{response.getStatus(), response.getContentType(), std::move(body).str()};
} catch (const Poco::Exception& e) {
  return Error{"no balancer answers at " + place_.text() + ": " + e.displayText() + mendFor(place_, e.code())};
} catch (const std::exception& e) {
  return Error{"no balancer answers at " + place_.text() + ": " + e.what()};
}

Result<std::string> readToken(const Options& options) {
  const char* const variable = std::getenv(kTokenVariable);
  const std::string path = options.token_file ? *options.token_file : variable != nullptr ? variable : "";
  if (path.empty()) return std::string();
  auto content = config::readContent(path, config::Streams::kRead);
  if (!content) return Error{"token file " + path + " " + content.error().message};
  std::istringstream lines(content.value().text);
  for (std::string line; std::getline(lines, line);) {
    line = trimmed(line);
    if (line.empty() || line.front() == '#') continue;
    return trimmed(line.substr(line.find(':') + 1));  // which is all of it where there is no colon
  }
  return Error{"token file " + path + " has no token"};
}

std::string encoded(const std::string& text) {
  std::string result;
  Poco::URI::encode(text, "/?#&=+%:@!$'()*,;[]", result);
  return result;
}

}  // namespace lemonade::cli
