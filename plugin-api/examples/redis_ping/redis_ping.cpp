// SPDX-License-Identifier: MIT
//
// A Redis server is alive when it answers PING. Where a password is given the check logs in first; what a server says
// instead, such as "LOADING Redis is loading the dataset in memory", is the reason the operator reads.
//
// Here to be read: a machine that is fed events and never touches a socket, data in pieces of any size, a secret
// option, a constructor that refuses options.
#include <lemonade/sdk/health_checker.hpp>
#include <lemonade/sdk/printable.hpp>

#include <vector>

namespace {

namespace sdk = lemonade::sdk;

class RedisPing : public sdk::HealthChecker {
 public:
  static constexpr lemonade_option_t kOptions[] = {
      sdk::option("username", LEMONADE_OPTION_STRING, "", "Whom to log in as; \"\" is the default user."),
      sdk::secret(sdk::option("password", LEMONADE_OPTION_STRING, "", "Logs in with it; \"\" does not log in.")),
  };

  explicit RedisPing(const sdk::Options& options) {
    const auto username = options.text("username"), password = options.text("password");
    if (!username.empty() && password.empty()) throw sdk::OptionError("username", "give the user's password as well");
    if (!password.empty()) {
      request_ = username.empty() ? command({"AUTH", password}) : command({"AUTH", username, password});
      replies_.push_back("+OK");
    }
    request_ += command({"PING"});  // sent along with AUTH: one round trip, and a refused AUTH fails first
    replies_.push_back("+PONG");
  }

  /// One check of one backend.
  class Probe {
   public:
    Probe(const RedisPing& checker, const lemonade_probe_target_t&) : checker_(checker) {}

    sdk::Verdict on(const lemonade_probe_event_t& event) {
      switch (event.type) {
        case LEMONADE_PROBE_CONNECTED:
          return sdk::send(checker_.request_);
        case LEMONADE_PROBE_DATA:
          return take(sdk::view(event.data));
        default:
          return sdk::fail(event);  // the host words it: refused, timed out, closed
      }
    }

   private:
    static constexpr std::size_t kLongestLine = 512;

    sdk::Verdict take(std::string_view bytes) {
      received_ += bytes;
      for (std::size_t end; (end = received_.find("\r\n")) != std::string::npos; received_.erase(0, end + 2)) {
        if (received_.compare(0, end, checker_.replies_[heard_]) != 0) return refuse(end);
        if (++heard_ == checker_.replies_.size()) return sdk::pass();
      }
      return received_.size() > kLongestLine ? refuse(received_.size()) : sdk::wait();
    }

    sdk::Verdict refuse(std::size_t line_size) {
      reason_ = "answered " + sdk::quoted(std::string_view(received_).substr(0, line_size), 80);
      return sdk::fail(reason_);
    }

    const RedisPing& checker_;
    std::string received_;   // and not understood yet
    std::size_t heard_ = 0;  // of the replies
    std::string reason_;     // outlives the verdict that shows it
  };

 private:
  /// As Redis takes it whatever is in the words: "*1\r\n$4\r\nPING\r\n".
  static std::string command(std::initializer_list<std::string_view> words) {
    std::string text;
    const auto line = [&text](auto... parts) { (text.append(parts), ...).append("\r\n"); };
    line("*", std::to_string(words.size()));
    for (const auto word : words) {
      line("$", std::to_string(word.size()));
      line(word);
    }
    return text;
  }

  std::string request_;
  std::vector<std::string> replies_;  // what a healthy server answers to it, one a line
};

}  // namespace

LEMONADE_HEALTH_CHECKER(RedisPing, .id = "com.example.redis_ping", .version = "1.0.0", .name = "Redis PING",
                        .vendor = "Example",
                        .doc = "Passes when a Redis server answers PING, logged in where asked for.",
                        .flags = LEMONADE_FLAG_UNLOAD_SAFE)
