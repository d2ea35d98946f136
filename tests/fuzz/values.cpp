// SPDX-License-Identifier: MIT
//
// The small languages of a configuration, all over the same text: durations, addresses, lists, and values of variables.
#include "target.h"

#include "balance/address.h"
#include "config/duration.h"
#include "config/host_port.h"
#include "config/tree.h"

namespace config = lemonade::config;
using lemonade::Address;
using lemonade::fuzz::require;

namespace {

void duration(std::string_view text) {
  const auto read = config::parseDuration(text);
  if (!read) return;
  require(*read >= lemonade::Duration::zero() && *read <= config::kLongestDuration, "a duration is in its range");
  require(config::parseDuration(config::durationText(*read)) == read, "a duration that is written reads the same");
}

void address(std::string_view text) {
  const auto backend = config::parseBackendAddress(text);
  if (backend.ok())
    require(!backend.value().host.empty() &&
                (backend.value().port == 0) ==
                    (config::isService(backend.value().host) || config::isUnixSocket(backend.value().host)),
            "a backend's address has a host and a port, unless it is a service or a Unix socket");
  else
    require(!backend.error().message.empty(), "a refusal says why");
  for (const auto& listen : {config::parseListenAddress(text), config::parseListenerAddress(text)})
    if (listen.ok()) require(Address::parse(listen.value()).has_value(), "an address to listen on is numeric");
  const auto numeric = Address::parse(text);
  if (numeric) require(Address::parse(numeric->text()) == numeric, "an address that is written reads the same");
}

void list(std::string_view text) {
  for (const auto& part : config::splitList(std::string(text), ","))
    require(!part.empty() && part.find(',') == std::string::npos, "a part of a list is a part");
  for (const auto form : {config::Form::kText, config::Form::kNumber, config::Form::kList})
    require(config::nodeOf(form, std::string(text)) != nullptr, "every text is a value");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = lemonade::fuzz::textOf(data, size);
  duration(text);
  address(text);
  list(text);
  return 0;
}
