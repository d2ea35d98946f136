// SPDX-License-Identifier: MIT
#include "balance/hosts_file.h"

#include "base/fd.h"

#include <ares.h>
#include <fcntl.h>

#include <cerrno>
#include <memory>
#include <system_error>

namespace lemonade {
namespace {

constexpr const char* kFile = "/etc/hosts";

/// The library takes a file that it cannot open for one without the name.
Status canBeOpened() {
  const Fd file(::open(kFile, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  const bool passing = !file && (errno == EMFILE || errno == ENFILE || errno == ENOMEM);
  if (passing) return Error{std::string(kFile) + ": " + std::generic_category().message(errno)};
  return success();
}

void take(void* to, int status, int, ares_addrinfo* list) noexcept {
  const std::unique_ptr<ares_addrinfo, void (*)(ares_addrinfo*)> owned(list, [](ares_addrinfo* one) {
    if (one != nullptr) ares_freeaddrinfo(one);
  });
  auto& found = *static_cast<Result<std::vector<Address>>*>(to);
  if (status == ARES_ENOMEM) found = Error{"no memory"};
  if (status != ARES_SUCCESS) return;
  try {
    std::vector<Address> addresses;
    for (const auto* node = list->nodes; node != nullptr; node = node->ai_next)
      addresses.emplace_back(node->ai_addr, static_cast<socklen_t>(node->ai_addrlen));
    found = std::move(addresses);
  } catch (const std::bad_alloc&) {
    found = Error{"no memory"};
  }
}

}  // namespace

HostsFile::HostsFile() {
  ares_options options{};
  char files_only[] = "f";
  options.lookups = files_only;
  if (ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS &&
      ares_init_options(&channel_, &options, ARES_OPT_LOOKUPS) != ARES_SUCCESS)
    channel_ = nullptr;
}

HostsFile::~HostsFile() {
  if (channel_ != nullptr) ares_destroy(channel_);
}

Result<std::vector<Address>> HostsFile::find(const std::string& name) const {
  if (channel_ == nullptr) return Error{"the resolver could not be made ready"};
  if (auto can = canBeOpened(); !can) return std::move(can).error();
  ares_addrinfo_hints hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_flags = ARES_AI_NOSORT;
  Result<std::vector<Address>> found{std::vector<Address>()};
  ares_getaddrinfo(channel_, name.c_str(), nullptr, &hints, &take, &found);  // without servers it answers at once
  return found;
}

}  // namespace lemonade
