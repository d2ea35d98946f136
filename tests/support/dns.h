// SPDX-License-Identifier: MIT
//
// A small name server (RFC 1035, 2782) for tests, over UDP and TCP on 127.0.0.1: each name has its records, or a way to
// fail. What does not fit into 512 bytes is truncated over UDP. Any thread.
#pragma once

#include "base/fd.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace lemonade::test {

class Dns {
 public:
  static constexpr int kA = 1;
  static constexpr int kCname = 5;
  static constexpr int kAaaa = 28;
  static constexpr int kSrv = 33;

  static constexpr int kServfail = 2;
  static constexpr int kNxdomain = 3;
  static constexpr int kRefused = 5;

  struct Record {
    std::uint16_t priority;
    std::uint16_t weight;
    std::uint16_t port;
    std::string host;
  };
  /// Makes an answer from a question; "" for none.
  using Maker = std::function<std::string(std::string_view question)>;

  /// port 0 lets the kernel choose one.
  explicit Dns(std::uint16_t port = 53, const std::string& address = "127.0.0.1");
  ~Dns();
  Dns(const Dns&) = delete;
  Dns& operator=(const Dns&) = delete;

  std::uint16_t port() const { return port_; }

  /// Answers for a name from now on. A name that nothing was said of does not exist; one of which only another type was
  /// said has no such record.
  void addresses(const std::string& name, const std::vector<std::string>& numeric);  ///< of both families
  void service(const std::string& name, const std::vector<Record>& records);
  void alias(const std::string& name, const std::string& to);
  void fail(const std::string& name, int code);
  void fail(const std::string& name, int type, int code);
  void silence(const std::string& name);
  void silence(const std::string& name, int type);
  void answerBy(const std::string& name, const Maker& maker);  ///< over UDP and TCP

  /// Questions so far: all, or those for a name and type.
  unsigned asked() const { return asked_; }
  unsigned asked(const std::string& name, int type) const;
  /// Connections so far.
  unsigned connections() const { return connections_; }

  /// An answer to a question with so many records, each its type and data.
  static std::string answer(std::string_view question, int code,
                            const std::vector<std::pair<int, std::string>>& records = {});
  /// A name as messages have it.
  static std::string encoded(const std::string& name);

 private:
  void serve();
  void serveStream();
  std::string answerTo(std::string_view question, bool stream);
  void set(const std::string& name, int type, Maker maker);

  Fd datagrams_;
  Fd listener_;
  Fd stop_;
  std::uint16_t port_ = 0;
  std::thread thread_;
  std::atomic<unsigned> asked_{0};
  std::atomic<unsigned> connections_{0};
  mutable std::mutex mutex_;  // guards what follows
  std::map<std::pair<std::string, int>, Maker> makers_;
  std::map<std::pair<std::string, int>, unsigned> counts_;
};

}  // namespace lemonade::test
