// SPDX-License-Identifier: MIT
//
// The header of the PROXY protocol, whole and byte for byte, for each choice of accepted versions.
#include "target.h"

#include "balance/proxy_header.h"

using lemonade::fuzz::require;
using What = lemonade::ProxyReading::What;

namespace {

bool isSame(const lemonade::ProxyReading& a, const lemonade::ProxyReading& b) {
  return a.what == b.what && a.size == b.size && a.header.source == b.header.source &&
         a.header.destination == b.header.destination;
}

/// A header that names two addresses and is written anew names the same.
void writeAgain(const lemonade::ProxyHeader& header) {
  if (header.source.family() == AF_UNSPEC) return;
  const auto bytes = lemonade::writeProxyHeader(lemonade::ProxyVersion::kV2, header);
  const auto again = lemonade::readProxyHeader(bytes.view(), lemonade::ProxyVersions::kV2);
  require(again.what == What::kComplete && again.size == bytes.view().size(), "what is written can be read");
  require(again.header.source == header.source && again.header.destination == header.destination,
          "a header that is written reads the same");
}

void read(std::string_view bytes, lemonade::ProxyVersions accepted) {
  const auto whole = lemonade::readProxyHeader(bytes, accepted);
  if (whole.what == What::kIncomplete)
    require(bytes.size() < lemonade::kLongestProxyHeader, "the longest header is enough to decide");
  if (whole.what == What::kComplete) {
    require(whole.size <= bytes.size() && whole.size <= lemonade::kLongestProxyHeader, "a header is among the bytes");
    require(isSame(lemonade::readProxyHeader(bytes.substr(0, whole.size), accepted), whole),
            "what follows a header does not matter");
    writeAgain(whole.header);
  }
  require((whole.flaw != nullptr) == (whole.what == What::kMalformed), "a refusal says why");
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto begin = lemonade::readProxyHeader(bytes.substr(0, size), accepted);
    if (begin.what == What::kIncomplete) continue;
    require(begin.what == whole.what && begin.size == whole.size, "how the bytes were split does not matter");
    break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = lemonade::fuzz::textOf(data, size);
  for (const auto accepted :
       {lemonade::ProxyVersions::kV1, lemonade::ProxyVersions::kV2, lemonade::ProxyVersions::kBoth})
    read(bytes, accepted);
  return 0;
}
