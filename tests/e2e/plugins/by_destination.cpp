// SPDX-License-Identifier: MIT
//
// A strategy that goes by the address which the client came to: each backend's option `serves` says for which one it
// is, as "198.51.100.1", "2001:db8::1" or, for Unix sockets, "unix". A client that came to another one gets nobody.
#include <lemonade/sdk/strategy.hpp>

#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace lemonade::sdk;

struct Destination {
  std::uint32_t family = 0;
  std::array<std::uint8_t, 16> bytes{};

  bool operator==(const Destination&) const = default;
};

Destination parse(const std::string& text) {
  if (text == "unix") return {LEMONADE_FAMILY_UNIX, {}};
  Destination destination{LEMONADE_FAMILY_IPV6, {}};
  if (::inet_pton(AF_INET6, text.c_str(), destination.bytes.data()) == 1) return destination;
  destination.family = LEMONADE_FAMILY_IPV4;
  destination.bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (::inet_pton(AF_INET, text.c_str(), destination.bytes.data() + 12) == 1) return destination;
  throw std::runtime_error(text + " is no address");
}

class ByDestination : public Strategy {
 public:
  struct Served {
    std::uint32_t index;
    Destination destination;
  };
  using Prepared = std::vector<Served>;

  static constexpr lemonade_option_t kBackendOptions[] = {
      option("serves", LEMONADE_OPTION_STRING, "unix", "The address that its clients come to, or unix."),
  };
  static constexpr std::uint32_t kNeeds = LEMONADE_NEED_LOCAL_ADDRESS;

  std::unique_ptr<Prepared> prepare(View view) {
    auto served = std::make_unique<Prepared>();
    for (const auto index : view.eligible())
      if (const auto options = view.options<ByDestination>(index))
        served->push_back({index, parse(std::string(options->text("serves")))});
    return served;
  }

  std::uint32_t pick(const Pick<Prepared>& pick) noexcept {
    if (pick.prepared == nullptr || !LEMONADE_HAS(&pick.connection, lemonade_connection_t, local_family))
      return LEMONADE_PICK_NONE;
    Destination came_to{pick.connection.local_family, {}};
    std::copy(std::begin(pick.connection.local_address), std::end(pick.connection.local_address),
              came_to.bytes.begin());
    for (const auto& one : *pick.prepared)
      if (one.destination == came_to && pick.allowed(one.index)) return one.index;
    return LEMONADE_PICK_NONE;
  }
};

}  // namespace

LEMONADE_STRATEGY(ByDestination, .id = "com.example.by_destination", .version = "1.0.0", .name = "By destination",
                  .vendor = "Example", .doc = "Goes by the address that the client came to.")
