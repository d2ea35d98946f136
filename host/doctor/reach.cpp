// SPDX-License-Identifier: MIT
#include "doctor/reach.h"

#include "base/fd.h"
#include "doctor/in_words.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

namespace lemonade::doctor {

namespace {

constexpr std::size_t kTries = 3;
constexpr std::size_t kConnectsAtOnce = 64;
constexpr const char* kReachTopic = "reach";

/// errno; 0: connected.
int connectOnce(const Patient& patient, Duration timeout) {
  const Fd fd(::socket(patient.address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return errno;
  if (patient.source.family() == patient.address.family() &&
      ::bind(fd.get(), patient.source.get(), patient.source.size()) != 0)
    return errno;
  if (::connect(fd.get(), patient.address.get(), patient.address.size()) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  pollfd ready{fd.get(), POLLOUT, 0};
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  if (::poll(&ready, 1, static_cast<int>(std::min<long>(ms, 3'600'000))) != 1) return ETIMEDOUT;
  int error = 0;
  socklen_t size = sizeof(error);
  return ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

Reached tryOne(const Patient& patient, std::uint64_t deadline_ns) {
  std::array<Duration, kTries> times{};
  for (auto& time : times) {
    const Duration left = leftUntil(deadline_ns);
    if (left <= Duration::zero()) return {.error = ETIMEDOUT, .tried = &time != times.data()};
    const std::uint64_t began_ns = nowNs();
    if (const int error = connectOnce(patient, std::min(patient.pool->connect_timeout, left)); error != 0)
      return {error};
    time = Duration(static_cast<Duration::rep>(nowNs() - began_ns));
  }
  std::sort(times.begin(), times.end());
  return {.median = times[kTries / 2]};
}

std::string mendFor(int error, const Patient& patient) {
  const std::string address = patient.address.text();
  switch (error) {
    case ECONNREFUSED:
      return "start the server, or correct the address: nothing listens there (on its machine: ss -ltn)";
    case ETIMEDOUT:
      return "is the machine up, and does a firewall drop what comes from here? nc -vz " + address;
    case EHOSTUNREACH:
    case ENETUNREACH:
      return "ip route get " + address.substr(0, address.rfind(':')) + " shows which way it should go";
    case EADDRNOTAVAIL:
      return "source_address has to be one of this machine (ip address)";
    case ENOENT:
    case EACCES:
      return "ls -l shows whether the socket is there and who may connect to it";
    default:
      return "correct the address, or mend the way there";
  }
}

}  // namespace

std::vector<Reached> reach(const Patients& patients, std::uint64_t deadline_ns) {
  std::vector<Reached> all(patients.size());
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < patients.size(); i = next++)
      all[i] = patients[i].address.family() == AF_UNSPEC ? Reached{.tried = false} : tryOne(patients[i], deadline_ns);
  };
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < std::min(kConnectsAtOnce, patients.size()); ++i) threads.emplace_back(work);
  for (auto& thread : threads) thread.join();
  return all;
}

Findings judgeReach(const Patients& patients, const std::vector<Reached>& reached) {
  Findings findings;
  for (std::size_t i = 0; i < patients.size(); ++i) {
    const auto& patient = patients[i];
    if (patient.address.family() == AF_UNSPEC) continue;  // its name says so
    const std::string address = patient.address.text();
    const auto& [error, tried, median] = reached[i];
    if (!tried)
      findings.push_back({Level::kWarning, kReachTopic, address + " was not tried: the time was over", patient.key(),
                          "give it more with --timeout"});
    else if (error == 0)
      findings.push_back(
          {Level::kOk, kReachTopic,
           address + " takes connections, after " + inWords(median) + " (median of " + std::to_string(kTries) + ")",
           patient.key()});
    else
      findings.push_back({patient.backend.enabled ? Level::kProblem : Level::kWarning, kReachTopic,
                          address + " cannot be connected to: " + std::strerror(error) +
                              (patient.backend.enabled ? "" : "; it is not enabled"),
                          patient.key(), mendFor(error, patient)});
  }
  return findings;
}

}  // namespace lemonade::doctor
