// SPDX-License-Identifier: MIT
//
// The body of /api/v1/reloads: what the last reloads came to, who asked for them and what they changed. Plain data.
#pragma once

#include "observe/status.h"

#include <cstddef>
#include <list>
#include <optional>
#include <string>
#include <vector>

namespace lemonade {

/// A value that a reload changed, as /api/v1/config shows it.
struct ChangedKey {
  std::string key;
  std::optional<std::string> before;  ///< nothing: it was not there
  std::optional<std::string> after;   ///< nothing: it is gone
};

struct ReloadRecord {
  ReloadStatus status;
  std::string by;  ///< who sent the request; "" where none did
  std::vector<ChangedKey> changes;
};

/// So many are kept.
constexpr std::size_t kReloadsKept = 32;

class Json;
/// The members of one reload, for an object that is open.
void setReloadMembers(Json& json, const ReloadStatus& reload);

/// newest first. The JSON text, ending in a newline.
std::string reloadsJson(const std::list<ReloadRecord>& reloads);

}  // namespace lemonade
