// SPDX-License-Identifier: MIT
//
// Names that /etc/hosts knows. It is read anew for each of them. One thread at a time.
#pragma once

#include "balance/address.h"
#include "base/result.h"

#include <string>
#include <vector>

struct ares_channeldata;

namespace lemonade {

class HostsFile {
 public:
  HostsFile();
  ~HostsFile();
  HostsFile(const HostsFile&) = delete;
  HostsFile& operator=(const HostsFile&) = delete;

  /// The addresses of a name, without a port: none where the file does not have it; those of loopback for "localhost".
  /// An error where the file cannot be looked into at this moment, as without descriptors.
  Result<std::vector<Address>> find(const std::string& name) const;

 private:
  ares_channeldata* channel_ = nullptr;  // asks no server; null where it could not be made
};

}  // namespace lemonade
