// SPDX-License-Identifier: MIT
//
// The file of the tokens with which other machines may change something. It is read with the configuration, and again
// when it has changed; what cannot be read or is wrong in it is said, and nobody has a token by it.
#pragma once

#include "admin/tokens.h"
#include "watch/looker.h"

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace lemonade::app {

/// What a token file came to.
struct TokensRead {
  std::string path;
  std::string seen;  ///< which file it was and when it last changed
  admin::Tokens tokens;
  std::vector<std::string> problems;  ///< each with the mend, and without a token
};

/// Reads it, within two seconds. Throws std::runtime_error where no thread can be made for that.
TokensRead readTokenFile(const std::string& path, Looker& looker);

class TokenFile {
 public:
  using Changed = std::function<void(admin::Tokens)>;

  /// changed hears of new tokens, on the thread that looks.
  explicit TokenFile(Changed changed) : changed_(std::move(changed)) {}

  /// This one is the configured one from now on, as it was read; nothing for none. Any thread.
  void use(const std::optional<TokensRead>& read);
  /// Looks whether the file has changed, and reads it again then. One thread.
  void look();
  /// Ends a look that hangs. Any thread.
  void stop() { looker_.stop(); }

 private:
  const Changed changed_;
  Looker looker_;
  std::mutex mutex_;  // guards what follows
  std::string path_;
  std::string seen_;
};

}  // namespace lemonade::app
