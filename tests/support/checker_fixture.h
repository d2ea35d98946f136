// SPDX-License-Identifier: MIT
//
// Drives a health checker as the host does, from its real .so, with bytes in pieces of any size and without a socket.
// One thread.
#pragma once

#include <lemonade/health_checker.h>

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lemonade::test {

/// How a check ended, or that it goes on.
struct Finding {
  std::uint32_t what = LEMONADE_VERDICT_WAIT;
  std::string reason;
};

class CheckerFixture {
 public:
  /// `path` is the plugin's file; `options` overrides defaults of its schema, all of them strings. Throws
  /// std::runtime_error with "key: message" where the checker refuses.
  explicit CheckerFixture(const std::string& path, const std::map<std::string, std::string>& options = {});
  ~CheckerFixture();
  CheckerFixture(const CheckerFixture&) = delete;
  CheckerFixture& operator=(const CheckerFixture&) = delete;

  /// One check of a backend, which is cancelled where it has not ended.
  class Check {
   public:
    explicit Check(const CheckerFixture& checker, std::string_view address = "127.0.0.1:8080",
                   std::string_view hostname = "app.example");
    ~Check() { end(); }
    Check(const Check&) = delete;
    Check& operator=(const Check&) = delete;

    Finding connected() { return event(LEMONADE_PROBE_CONNECTED); }
    Finding data(std::string_view bytes) { return event(LEMONADE_PROBE_DATA, bytes); }
    Finding eof() { return event(LEMONADE_PROBE_EOF); }
    Finding timeout() { return event(LEMONADE_PROBE_TIMEOUT); }
    Finding error(int number) { return event(LEMONADE_PROBE_ERROR, {}, number); }
    /// What the checker asked to send since the last call.
    std::string sent() { return std::exchange(sent_, {}); }

   private:
    Finding event(std::uint32_t type, std::string_view bytes = {}, int number = 0);
    void end();

    const CheckerFixture& checker_;
    void* probe_ = nullptr;
    std::string sent_;
    Finding last_;
  };

  /// What the pieces come to, followed by the backend's close where `closed`. Pieces after the end are left out.
  Finding after(const std::vector<std::string>& pieces, bool closed = true) const;
  /// The same for an answer in one piece, byte by byte, and cut in two at every place; throws where these disagree.
  Finding however(std::string_view answer, bool closed = true) const;

 private:
  void* image_ = nullptr;
  const lemonade_health_checker_t* table_ = nullptr;
  void* self_ = nullptr;
  lemonade_host_t host_{};
};

}  // namespace lemonade::test
