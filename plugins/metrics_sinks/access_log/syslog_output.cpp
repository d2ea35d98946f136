// SPDX-License-Identifier: MIT
#include "syslog_output.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

namespace lemonade::access_log {

namespace {

constexpr std::uint32_t kWarning = 4;
constexpr std::uint32_t kInformational = 6;
constexpr std::uint32_t kDaemon = 3;
constexpr std::uint32_t kLocal0 = 16;
constexpr std::size_t kLongestHostName = 255;
constexpr std::chrono::nanoseconds kResolveInterval = std::chrono::seconds(60);
constexpr std::chrono::nanoseconds kPatience = std::chrono::seconds(1);

/// Printable ASCII without spaces, "-" where nothing is left: a field of the header.
std::string headerField(std::string_view text, std::size_t longest) {
  std::string field;
  for (const char c : text.substr(0, longest))
    if (c > ' ' && c < 0x7f) field += c;
  return field.empty() ? "-" : field;
}

std::string hostName() {
  char name[kLongestHostName + 1] = {};
  return ::gethostname(name, sizeof(name) - 1) == 0 ? headerField(name, kLongestHostName) : "-";
}

/// No more than so many bytes, and no part of a character at the end.
std::size_t cutSize(std::string_view text, std::size_t most) noexcept {
  std::size_t size = std::min(text.size(), most);
  while (size > 0 && size < text.size() && (static_cast<unsigned char>(text[size]) & 0xc0U) == 0x80U) --size;
  return size;
}

}  // namespace

std::uint32_t facilityOf(std::string_view name) noexcept {
  return name == "daemon" ? kDaemon : kLocal0 + static_cast<std::uint32_t>(name.back() - '0');
}

SyslogOutput::SyslogOutput(datagrams::Address server, std::uint32_t facility, std::size_t most_bytes,
                           std::function<std::uint64_t()> now_ns, std::function<void()> on_cut)
    : server_(std::move(server), kResolveInterval),
      facility_(facility),
      most_bytes_(most_bytes),
      now_ns_(std::move(now_ns)),
      on_cut_(std::move(on_cut)),
      origin_(" " + hostName() + " lemonade " + std::to_string(::getpid()) + " session - ") {}

void SyslogOutput::add(std::string_view line, const lemonade_session_record_t& record) {
  const std::uint32_t severity = lemonade_record_is_error(&record) != 0 ? kWarning : kInformational;
  std::string datagram = "<" + std::to_string(facility_ * 8 + severity) + ">1 ";
  times_.append(datagram, endOf(record));
  datagram += origin_;
  datagram += line;
  if (datagram.size() > most_bytes_) {
    datagram.resize(cutSize(datagram, most_bytes_));
    on_cut_();
  }
  datagrams_.push_back(std::move(datagram));
}

// After the first that cannot be sent the others are not tried: each would take as long to fail.
Written SyslogOutput::finish(std::uint64_t deadline_ns) {
  const auto messages = std::exchange(datagrams_, {});
  if (messages.empty()) return {};
  deadline_ns = std::min(deadline_ns, now_ns_() + static_cast<std::uint64_t>(kPatience.count()));
  problem_.clear();
  std::size_t sent = 0;
  try {
    const auto now_ns = now_ns_();
    server_.open(now_ns, std::chrono::nanoseconds(deadline_ns > now_ns ? deadline_ns - now_ns : 0));
    while (sent < messages.size() && send(messages[sent], deadline_ns)) ++sent;
  } catch (const std::exception& e) {  // also that there can be no thread to look a name up
    problem_ = e.what();
  }
  if (!problem_.empty()) server_.doubt();  // it may have moved
  return {messages.size() - sent, problem_};
}

// An error of UDP is that of an earlier datagram, which is lost and cannot be told from those that arrived.
bool SyslogOutput::send(const std::string& datagram, std::uint64_t deadline_ns) {
  const auto left = [&] {
    const auto now_ns = now_ns_();
    return std::chrono::nanoseconds(deadline_ns > now_ns ? deadline_ns - now_ns : 0);
  };
  auto sent = server_.send(datagram, left());
  if (sent == datagrams::Sent::refused) {
    problem_ = server_.reason();
    sent = server_.send(datagram, left());
  }
  if (sent == datagrams::Sent::yes) return true;
  problem_ = server_.reason();
  return false;
}

}  // namespace lemonade::access_log
