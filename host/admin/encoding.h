// SPDX-License-Identifier: MIT
//
// In which coding an answer goes out, as the client's Accept-Encoding has it (RFC 9110, 12.5.3). Stateless; any thread.
#pragma once

#include <optional>
#include <string>

#include "admin/message.h"

namespace lemonade::admin {

enum class Coding {
  kIdentity,
  kGzip,
  kGzipAlways,  ///< also where it does not pay: the client refuses anything else
  kNone,        ///< the client takes neither
};

/// accept: the value of Accept-Encoding; without one nothing is coded.
Coding chooseCoding(const std::optional<std::string>& accept);

/// The answer in that coding, or 406 where there is none. Short answers stay as they are where they may.
Response encoded(Response response, Coding coding);

}  // namespace lemonade::admin
