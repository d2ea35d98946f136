// SPDX-License-Identifier: MIT
#include "answer.h"

#include <lemonade/sdk/printable.hpp>

#include <algorithm>
#include <charconv>
#include <utility>

namespace {

constexpr std::string_view kProtocol = "HTTP/";

bool isInterim(unsigned status) noexcept { return status / 100 == 1; }
bool hasNoBody(unsigned status) noexcept { return status == 204 || status == 304; }

/// The size that the line of a chunk begins with; what follows it is no matter.
std::optional<std::uint64_t> chunkSize(std::string_view line) {
  std::uint64_t size = 0;
  const auto [rest, failed] = std::from_chars(line.data(), line.data() + line.size(), size, 16);
  if (failed != std::errc{}) return std::nullopt;
  const auto after = line.substr(static_cast<std::size_t>(rest - line.data()));
  const auto more = after.find_first_not_of(" \t");
  if (more != std::string_view::npos && after[more] != ';') return std::nullopt;
  return size;
}

}  // namespace

Answer::Progress Answer::take(std::string_view bytes) {
  anything_ = anything_ || !bytes.empty();
  unread_ += bytes;
  const Progress progress = read();
  unread_.erase(0, std::exchange(at_, 0));
  return progress;
}

Answer::Progress Answer::read() {
  while (true) {
    if (reading_ == Reading::kNothing || body_ >= kMaxBody) return Progress::kComplete;
    if (at_ == unread_.size()) break;
    if (reading_ == Reading::kUntilEnd || reading_ == Reading::kLength || reading_ == Reading::kChunk) {
      readData();
      continue;
    }
    const bool in_head = reading_ == Reading::kHead;
    // The alert of a TLS server never becomes a line.
    if (in_head && isNoHttp()) return broken("no HTTP answer but " + lemonade::sdk::quoted(rest()));
    const auto line = nextLine();
    if (lines_ + (line ? 0 : rest().size()) > kMaxHead)
      return broken(in_head ? "the head of the answer is longer than 16 KiB"
                            : "a line of the answer is longer than 16 KiB");
    if (!line) break;
    if (!(in_head ? readHeadLine(*line) : readBodyLine(*line)))
      return broken((in_head ? "no HTTP answer but " : "the body of the answer is broken: ") +
                    lemonade::sdk::quoted(line->substr(0, 40)));
  }
  return status() == 0 ? Progress::kHead : Progress::kBody;
}

// The next line without its end, where it is complete; its bytes are counted.
std::optional<std::string_view> Answer::nextLine() noexcept {
  const auto end = rest().find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  auto line = rest().substr(0, end);
  lines_ += end + 1;
  at_ += end + 1;
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// Before the status line there may be empty ones.
bool Answer::isNoHttp() const noexcept {
  if (head_.status() != 0 || rest()[0] == '\r' || rest()[0] == '\n') return false;
  return rest().substr(0, kProtocol.size()) != kProtocol.substr(0, rest().size());
}

bool Answer::readHeadLine(std::string_view line) {
  if (head_.status() == 0 && line.empty()) return true;
  switch (head_.take(line)) {
    case Head::Line::kBad:
      return false;
    case Head::Line::kMore:
      return true;
    case Head::Line::kLast:
      break;
  }
  lines_ = 0;
  if (isInterim(head_.status()))
    head_ = Head();
  else
    beginBody();
  return true;
}

void Answer::beginBody() {
  left_ = head_.length().value_or(0);
  if (!has_body_ || hasNoBody(head_.status()))
    reading_ = Reading::kNothing;
  else if (head_.chunked())
    reading_ = Reading::kChunkSize;
  else if (!head_.length())
    reading_ = Reading::kUntilEnd;
  else
    reading_ = left_ != 0 ? Reading::kLength : Reading::kNothing;
}

// Of the lines that chunks stand between.
bool Answer::readBodyLine(std::string_view line) {
  if (reading_ == Reading::kTrailers) {
    if (line.empty()) reading_ = Reading::kNothing;
    return true;
  }
  lines_ = 0;
  if (reading_ == Reading::kChunkEnd) {
    reading_ = Reading::kChunkSize;
    return line.empty();
  }
  const auto size = chunkSize(line);
  if (!size) return false;
  left_ = *size;
  reading_ = left_ != 0 ? Reading::kChunk : Reading::kTrailers;
  return true;
}

void Answer::readData() {
  const bool bounded = reading_ != Reading::kUntilEnd;
  std::size_t size = std::min(rest().size(), kMaxBody - body_);
  if (bounded) size = static_cast<std::size_t>(std::min<std::uint64_t>(size, left_));
  if (!wanted_.empty() && !found_) {
    tail_.append(rest(), 0, size);
    found_ = tail_.find(wanted_) != std::string::npos;
    if (tail_.size() >= wanted_.size()) tail_.erase(0, tail_.size() - wanted_.size() + 1);
  }
  body_ += size;
  at_ += size;
  if (!bounded) return;
  left_ -= size;
  if (left_ == 0) reading_ = reading_ == Reading::kChunk ? Reading::kChunkEnd : Reading::kNothing;
}

Answer::Progress Answer::finish() {
  if (!anything_) return broken("closed without an answer");
  if (reading_ == Reading::kUntilEnd) return Progress::kComplete;
  return broken("closed before the answer was complete");
}

Answer::Progress Answer::broken(std::string problem) {
  problem_ = std::move(problem);
  return Progress::kBroken;
}
