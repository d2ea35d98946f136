// SPDX-License-Identifier: MIT
#include "base/socket_address.h"

#include <Poco/Net/SocketAddress.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <string_view>

namespace lemonade {

std::string socketAddressText(const sockaddr_storage& address) {
  if (address.ss_family != AF_UNIX) {
    const socklen_t size = address.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
    return Poco::Net::SocketAddress(reinterpret_cast<const sockaddr*>(&address), size).toString();
  }
  const auto& path = reinterpret_cast<const sockaddr_un&>(address).sun_path;
  const std::string_view name(path, sizeof(path));
  if (name[0] != '\0') return "unix:" + std::string(name.substr(0, name.find('\0')));
  return "unix:@" + std::string(name.substr(1, name.find('\0', 1) - 1));
}

}  // namespace lemonade
