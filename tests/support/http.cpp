// SPDX-License-Identifier: MIT
//
// The tests' HTTP client: see http.h. HTTP/1.0, so that the answer ends where the connection does.
#include "support/http.h"

namespace lemonade::test {

HttpAnswer httpGet(const std::string& address, const std::string& path, const std::string& method) {
  Socket socket = Socket::connect(address);
  socket.send(method + " " + path + " HTTP/1.0\r\nHost: " + address + "\r\n\r\n");
  const std::string text = socket.receiveAll();
  const auto end = text.find("\r\n\r\n");
  if (!text.starts_with("HTTP/") || end == std::string::npos)
    throw std::runtime_error(address + path + " answered no HTTP: \"" + text + "\"");
  return {std::stoi(text.substr(text.find(' ') + 1)), text.substr(0, end), text.substr(end + 4)};
}

}  // namespace lemonade::test
