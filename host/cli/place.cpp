// SPDX-License-Identifier: MIT
#include "cli/place.h"

#include "admin/usual_socket.h"
#include "config/environment.h"
#include "config/loader.h"

#include <sys/stat.h>

#include <cstdlib>
#include <string_view>
#include <utility>

namespace lemonade::cli {

namespace {

constexpr const char* kAdminVariable = "LEMONADE_ADMIN";
constexpr const char* kListenVariable = "LEMONADE_LB_ADMIN_ADDRESS";

bool isSocket(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode);
}

/// Where this machine reaches what listens at an address, which may be that of every interface.
std::string reachable(const std::string& listens) {
  for (const std::string_view any : {"0.0.0.0:", "[::]:"})
    if (listens.starts_with(any)) return (any == "[::]:" ? "[::1]:" : "127.0.0.1:") + listens.substr(any.size());
  return listens;
}

bool isSet(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

/// The socket or the address that a configuration names; says: it names one. The usual socket only where nothing else
/// is to be had.
Result<Place> placeIn(const config::Config& config, bool says) {
  const auto& access = config.admin_access;
  const auto usual = admin::usualSocketPath();
  const bool may_be_usual = access.socket == config::AdminAccess::kAuto && isSocket(usual);
  if (access.hasOwnSocket()) return Place{access.socket, ""};
  if (may_be_usual && !says) return Place{usual, ""};
  if (config.admin) return Place{"", reachable(config.admin->address)};
  if (may_be_usual) return Place{usual, ""};
  return Error{"this configuration has neither an admin socket nor an admin listener; set [admin] socket"};
}

std::string linesOf(const std::vector<config::Finding>& findings) {
  std::string lines;
  for (const auto& finding : findings)
    if (finding.severity == config::Severity::kError) lines += (lines.empty() ? "" : "\n") + finding.line();
  return lines;
}

}  // namespace

Result<Place> parsePlace(const std::string& text) {
  constexpr std::string_view kUnix = "unix:", kHttp = "http://";
  if (text.starts_with('/')) return Place{text, ""};
  if (text.starts_with(kUnix) && text.size() > kUnix.size()) return Place{text.substr(kUnix.size()), ""};
  std::string address = text.starts_with(kHttp) ? text.substr(kHttp.size()) : text;
  while (address.ends_with('/')) address.pop_back();
  const auto colon = address.rfind(':');
  const bool has_port = colon != std::string::npos && colon > 0 && colon + 1 < address.size() &&
                        address.find_first_not_of("0123456789", colon + 1) == std::string::npos;
  if (!has_port)
    return Error{"\"" + text + "\" is no place to ask; give \"unix:/run/lemonade/admin.sock\" or \"10.0.0.1:9090\""};
  return Place{"", address};
}

Result<Place> findPlace(const Options& options) {
  if (options.admin) return parsePlace(*options.admin);
  if (isSet(kAdminVariable) && !options.config) {
    auto place = parsePlace(std::getenv(kAdminVariable));
    return place ? std::move(place) : std::move(place).error().in(kAdminVariable);
  }
  const auto loaded = config::load({options.config, config::processEnvironment(), {}});
  // Without a file only the place counts; what else the environment lacks stands in the balancer's own.
  if (options.config && !loaded.ok()) return Error{linesOf(loaded.findings)};
  return placeIn(loaded.config, options.config.has_value() || isSet(kListenVariable));
}

}  // namespace lemonade::cli
