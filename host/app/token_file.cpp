// SPDX-License-Identifier: MIT
#include "app/token_file.h"

#include "base/log.h"
#include "watch/fingerprint.h"

#include <sys/stat.h>

#include <memory>
#include <utility>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;

constexpr Duration kReadLimit = 2s;
constexpr std::size_t kMostSaid = 10;

bool othersMayRead(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && (status.st_mode & S_IROTH) != 0;
}

TokensRead readNow(const std::string& path) {
  TokensRead read;
  read.path = path;
  read.seen = lookAtPlugin(path);
  const auto content = lookAtFile(path, config::Streams::kRefuse);
  const auto say = [&](const std::string& what) { read.problems.push_back("token file " + path + what); };
  if (!content.problem.empty()) {
    say(" " + content.problem + "; nobody has a token until it can be read");
    return read;
  }
  std::vector<admin::Tokens::Problem> problems;
  read.tokens = admin::Tokens::parse(content.text, problems);
  if (problems.size() > kMostSaid) problems.resize(kMostSaid);
  for (const auto& problem : problems)
    say(", line " + std::to_string(problem.line) + ", is passed over: " + problem.text);
  if (read.tokens.empty()) say(" has no token; write one a line, made with: openssl rand -hex 32");
  if (othersMayRead(path)) say(" may be read by every user of this machine; chmod 0600 it");
  return read;
}

}  // namespace

TokensRead readTokenFile(const std::string& path, Looker& looker) {
  const auto read = std::make_shared<TokensRead>();
  if (looker.look([read, path] { *read = readNow(path); }, kReadLimit)) return std::move(*read);
  return {path, "", {}, {"token file " + path + " " + kHangs}};
}

void TokenFile::use(const std::optional<TokensRead>& read) {
  const std::lock_guard lock(mutex_);
  path_ = read ? read->path : "";
  seen_ = read ? read->seen : "";
}

void TokenFile::look() {
  std::unique_lock lock(mutex_);
  const std::string path = path_, seen = seen_;
  lock.unlock();
  if (path.empty() || looker_.resting()) return;
  const auto now = std::make_shared<std::string>();
  if (!looker_.look([now, path] { *now = lookAtPlugin(path); }, kReadLimit) || *now == seen) return;
  auto read = readTokenFile(path, looker_);
  lock.lock();
  if (path_ != path) return;  // a reload has chosen another one
  seen_ = read.seen;
  lock.unlock();
  for (const auto& problem : read.problems) log::warning("admin", problem);
  log::info("admin", "tokens read again", {{"file", path}});
  changed_(std::move(read.tokens));
}

}  // namespace lemonade::app
