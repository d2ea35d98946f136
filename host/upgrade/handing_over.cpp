// SPDX-License-Identifier: MIT
#include "upgrade/handing_over.h"

#include "base/fd.h"
#include "base/read_write.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <string>

namespace lemonade {

namespace {

constexpr off_t kMostText = off_t{1} << 28;

Result<std::string> textOf(int file) {
  struct stat about {};
  if (::fstat(file, &about) != 0 || about.st_size > kMostText) return Error{"it is too large"};
  std::string text(static_cast<std::size_t>(about.st_size), '\0');
  std::size_t have = 0;
  while (have < text.size()) {
    const ssize_t count = ::pread(file, text.data() + have, text.size() - have, static_cast<off_t>(have));
    if (count <= 0) return Error{"it cannot be read"};
    have += static_cast<std::size_t>(count);
  }
  return text;
}

}  // namespace

Result<std::unique_ptr<Handover>> askForHandover(int channel, Duration at_most) {
  if (!supervisor::send(channel, kAsk)) return Error{"it does not hear"};
  const std::uint64_t until = nowNs() + static_cast<std::uint64_t>(at_most.count());
  for (std::uint64_t now; (now = nowNs()) < until;) {
    pollfd entry{channel, POLLIN, 0};
    if (::poll(&entry, 1, static_cast<int>((until - now) / 1'000'000 + 1)) <= 0) continue;
    supervisor::Message message;
    const auto received = supervisor::receive(channel, message);
    if (received == supervisor::Received::kEnd) return Error{"it does not know how to hand it over, or has ended"};
    if (received == supervisor::Received::kMessage && message.what == kTold) return handoverIn(message);
  }
  return Error{"it did not answer in time"};
}

bool tellHandover(int channel, Handover& handover) {
  const Fd file(::memfd_create("lemonade-handover", MFD_CLOEXEC));
  const int descriptors[] = {file.get()};
  const std::string text = encode(handover);
  return file && writeAll(file.get(), text.data(), text.size()) && supervisor::send(channel, kTold, {}, descriptors);
}

Result<std::unique_ptr<Handover>> handoverIn(const supervisor::Message& message) try {
  if (message.descriptors.empty()) return Error{"it came without its text"};
  const auto text = textOf(message.descriptors.front().get());
  return text ? decode(text.value()) : text.error();
} catch (const std::bad_alloc&) {
  return Error{"there is no memory to read it"};
}

}  // namespace lemonade
